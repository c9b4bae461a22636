"""The arithmetic and the devices of training."""
