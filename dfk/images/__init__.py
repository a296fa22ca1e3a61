"""Images: bytes to pixels, faces, augmentation, corruptions, self-blending."""

# What is read; `dfk.images.decode` says what of them is refused.
FORMATS = "JPEG, PNG, WebP or BMP"
# 67 million pixels are three times what a professional camera takes.
MAX_PIXELS = 1 << 26
