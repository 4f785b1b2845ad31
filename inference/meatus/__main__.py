from meatus.cli import main

main()
