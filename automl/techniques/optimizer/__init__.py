"""Optimizers; each brings its own learning rate."""
