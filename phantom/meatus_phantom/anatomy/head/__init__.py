"""What lies about the skull's cavity, and the skull."""
