"""The commands that ``meatus`` takes from this package."""
