"""uv and pip as child processes: they place, build and remove; what to place is decided before."""
