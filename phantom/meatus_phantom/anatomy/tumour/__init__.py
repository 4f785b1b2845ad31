"""What grows in a canal, and what it does about itself."""
