"""Images: bytes to pixels, faces, augmentation and self-blending."""
