"""`pylock.toml` (PEP 751): written for several environments, read with suspicion, and brought about."""
