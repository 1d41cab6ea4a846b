"""Plan (pure), apply and undo installations: pip or uv make the changes, always as child processes of the target."""
