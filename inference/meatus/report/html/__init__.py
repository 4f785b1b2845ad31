"""Pages to open in a browser; needs jinja2, so import it only where one is written."""
