"""Transforms that only classification needs."""
