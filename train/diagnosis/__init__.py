"""What goes on inside a net: activations, dead units, weights, confidences."""
