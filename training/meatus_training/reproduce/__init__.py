"""From the challenge's folders to the weights that are shipped, in one command."""
