"""A PyTorch net as a plain list of layers, and a function that runs such a list."""
