"""Augmentation: what happens to an image, and how its boxes follow."""
