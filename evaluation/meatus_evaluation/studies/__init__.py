"""What results say: of another result, of growth, of their own certainty."""
