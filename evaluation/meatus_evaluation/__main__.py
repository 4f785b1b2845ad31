from meatus_evaluation.cli import main

main(prog_name="meatus")
