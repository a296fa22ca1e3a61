"""What a network makes of pictures: features, kept, grouped and shown."""
