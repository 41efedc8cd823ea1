"""A PyTorch net as a plain list of layers, and those layers run."""
