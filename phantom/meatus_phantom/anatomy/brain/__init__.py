"""What lies within the skull's cavity."""
