"""The book of runs: what was started, from any directory, and what became of it."""
