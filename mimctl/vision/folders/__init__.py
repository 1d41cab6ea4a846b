"""Folders of people's own data, before any training and without torch: what lies there, its splits, its mistakes."""
