"""Installed toolboxes, read off entry-point names and static manifests; no plugin code is ever imported here."""
