"""Self-training: which predictions on real scans to learn from, and how to mend them first."""
