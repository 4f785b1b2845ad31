from meatus_training.cli import main

main(prog_name="meatus train")
