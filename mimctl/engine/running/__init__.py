"""A run: its loops, the feed of batches, the state that a checkpoint keeps, rescue, trials."""
