"""A page on this machine to look at results, correct labels and label further scans."""
