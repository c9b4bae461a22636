"""Normalisations of hidden layers."""
