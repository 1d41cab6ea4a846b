"""Moves custom modules to mimctl's names: import lines rewritten as text, and what has no counterpart listed.

`rewrite` is pure (text → edits); `files` reads and writes. Nothing that is ported is ever imported.
"""
