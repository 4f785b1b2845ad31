"""Whether cohorts of phantoms are as they should be, and look like the scans they stand for."""
