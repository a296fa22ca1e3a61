"""Images: bytes to pixels, faces, augmentation, corruptions, self-blending."""
