"""Of the training code, as weights and prepared scans name it."""

from meatus import __version__

VERSION = __version__
