"""Other people's interfaces over ours: `cv2.dnn.DetectionModel` and the 2017 class `InferBbox`."""
