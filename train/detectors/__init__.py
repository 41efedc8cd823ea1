"""Any model file as a function from an image to `Detections`."""
