"""Putting a detector into service: export, the local server, the client.

Nothing is imported here, so that a client starts without TensorFlow:

* `dfk.serving.export`: from a run to a versioned SavedModel.
* `dfk.serving.publish`: labels that move, and old versions removed.
* `dfk.serving.check`: what a model server would refuse.
* `dfk.serving.launch`: starts TensorFlow Serving, or the local stand-in.
* `dfk.serving.server`: the stand-in.
* `dfk.serving.client`: asks either of them over gRPC.
"""
