"""What a run tells: log lines, scalars, pictures, events, each to where it is wanted."""
