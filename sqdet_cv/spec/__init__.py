"""What a model is, as checked JSON: labels, input, mean, anchors and grids."""
