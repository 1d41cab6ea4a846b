"""Experiment configs as data: read, merged, overridden, checked and dumped; nothing in them is ever executed."""
