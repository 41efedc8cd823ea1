"""What goes into the packed file."""
