"""Techniques on the data: scaling, resampling, weighting, augmentation."""
