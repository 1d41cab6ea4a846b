"""Facts about the target environment, each with its source; imports nothing heavy, and torch never."""
