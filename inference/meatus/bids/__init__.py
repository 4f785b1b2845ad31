"""A BIDS dataset in, a derivative dataset out, by the command that BIDS Apps share."""
