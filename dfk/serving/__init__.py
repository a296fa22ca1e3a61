"""Putting a detector into service: export, the local server, the client.

Nothing is imported here, so that a client starts without TensorFlow:

* `dfk.serving.export`: from a run to a versioned SavedModel.
* `dfk.serving.server`: the local stand-in for TensorFlow Serving.
* `dfk.serving.client`: asks a server over gRPC.
* `dfk.prediction.detector`: the same answers without a server.
"""
