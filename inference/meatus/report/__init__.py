"""What a reader gets beside the labels: numbers, flags, a table, a picture of each case."""
