"""What a command needs around the method: cases, output, console, report, stopping."""
