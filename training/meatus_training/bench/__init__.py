"""Seconds and memory of the main job, beside other programs, and how they grow."""
