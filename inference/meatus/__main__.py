from meatus.cli import main

main(prog_name="meatus")
