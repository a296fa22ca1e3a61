"""TFDS builders. Import one, such as `dfk.datasets.real_fake_faces`."""
