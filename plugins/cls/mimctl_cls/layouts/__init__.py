"""Readers of the folder layouts that people keep classified images in: folders, lists, IDX files. No torch."""
