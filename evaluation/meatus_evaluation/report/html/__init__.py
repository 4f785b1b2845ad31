"""The report as one HTML file; needs jinja2, so import it only where one is wanted."""
