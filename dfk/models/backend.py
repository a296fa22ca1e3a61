"""Importing this makes Keras run on TensorFlow; see `dfk.cli`."""

from dfk.cli import use_tensorflow_backend

use_tensorflow_backend()
