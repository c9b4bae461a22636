"""Losses, and what is done to targets."""
