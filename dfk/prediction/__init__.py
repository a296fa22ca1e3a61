"""From images to predictions, without a server.

Nothing is imported here, so that a client of a server starts without
TensorFlow.
"""
