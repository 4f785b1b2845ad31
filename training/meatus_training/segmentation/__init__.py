"""Supervised training of the segmentation network, from prepared scans or endless phantoms."""
