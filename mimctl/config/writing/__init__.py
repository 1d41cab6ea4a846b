"""Configs written, compared and traced back: dumps of each format, differences, where a value came from."""
