"""Folders of phantoms as a challenge ships its scans: planned, made, found again."""
