"""What a run trains: its config found and checked, its data, its weights, its checkpoints."""
