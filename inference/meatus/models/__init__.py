"""Sets of weights, shipped or installed: which there are, whether they are whole, their cards."""
