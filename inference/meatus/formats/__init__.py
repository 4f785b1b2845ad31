"""One module per file format; only ``meatus.images`` uses them."""
