"""One module per file format; only ``inference.images`` uses them."""
