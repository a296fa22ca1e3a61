"""What a network makes of images: features, kept, grouped and shown."""
