"""Weights in and out: checkpoints, exported models, ImageNet archives."""
