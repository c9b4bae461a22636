"""Averages of weights over training."""
