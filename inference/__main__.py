from inference.cli import main

main(prog_name="python -m inference")
