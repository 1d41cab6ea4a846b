"""Checkpoints: written whole, read without running code, kept, fitted into models."""
