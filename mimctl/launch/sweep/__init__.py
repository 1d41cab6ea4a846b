"""Sweeps: one training for each point of a grid, side by side, with a table of what came of them."""
