"""Build the static index from wheels, toolboxes and zoo files: pages for pip and uv, JSON for mimctl (read by `index`).

May import `wheels` and what lies below it.
"""
