"""Training windows rendered from tissue maps: geometry, looks, a scanner's traces, fields."""
