"""The temporal bone: what lies about and in the inner ear."""
