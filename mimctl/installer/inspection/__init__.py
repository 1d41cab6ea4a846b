"""Wheels looked into before any installer sees them."""
