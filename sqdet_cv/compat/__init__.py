"""`Detector` behind the interfaces of others: `cv2.dnn.DetectionModel` and the 2017 class `InferBbox`."""
