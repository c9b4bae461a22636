"""Measurements of the product: each runs it as a user would, and leaves files with commit and machine beside the figures."""
