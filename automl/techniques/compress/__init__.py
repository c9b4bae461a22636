"""What makes a finished model smaller."""
