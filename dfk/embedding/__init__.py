"""Embeddings of images: stored, clustered, plotted, and classified."""
