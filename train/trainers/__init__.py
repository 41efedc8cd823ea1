"""The engine joined to a task: training a detector, training a classifier."""
