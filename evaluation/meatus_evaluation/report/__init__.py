"""What is shown of results: on a terminal, as HTML, as pictures, in files."""
