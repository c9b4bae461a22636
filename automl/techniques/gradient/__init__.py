"""What is done to gradients before the optimizer sees them."""
