"""What makes one model out of several."""
