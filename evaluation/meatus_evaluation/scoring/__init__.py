"""Label maps in, numbers of each case and of all out."""
