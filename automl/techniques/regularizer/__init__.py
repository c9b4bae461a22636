"""Penalties, noise and stopping rules against overfitting."""
