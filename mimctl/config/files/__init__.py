"""The files that a config is made of: found, read once, merged in order."""
