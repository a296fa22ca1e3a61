"""Images: bytes to pixels, faces, augmentation, corruptions, self-blending."""

# What is read; `dfk.images.decode` says what of them is refused.
FORMATS = "JPEG, PNG, WebP or BMP"
