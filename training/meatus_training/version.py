"""Of the training code, as weights and prepared scans name it."""

VERSION = "0.1.0"
