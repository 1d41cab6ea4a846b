"""Whole detectors: backbone, neck and head behind one `forward`."""
