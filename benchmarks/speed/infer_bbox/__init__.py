"""Our `InferBbox` beside the compiled C++ class."""
