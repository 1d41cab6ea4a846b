"""Backbones under classification's names and defaults; what they share with other toolboxes is in mimctl.vision."""
