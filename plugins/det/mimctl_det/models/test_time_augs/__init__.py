"""Merging what a detector predicts for several views of an image."""
