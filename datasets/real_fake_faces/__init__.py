"""Importing this registers `real_fake_faces` with TensorFlow Datasets."""

# Not a relative import: under whatever name `tfds build` or a test runner
# imports this folder, the builder is registered once.
from dfk.datasets.real_fake_faces.real_fake_faces_dataset_builder import Builder

__all__ = ["Builder"]
