"""What types take, read off their source for `types.json`."""
