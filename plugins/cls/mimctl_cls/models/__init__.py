"""Classifiers and their parts. Modules are imported by name through types.json; nothing is imported here."""
