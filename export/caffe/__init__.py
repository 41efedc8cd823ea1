"""Layers to Caffe, with three heads, and the check of what was written."""
