"""Heads that predict at every point of the feature maps."""
