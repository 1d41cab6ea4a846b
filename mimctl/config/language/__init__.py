"""The language of Python configs: a small interpreter over the syntax tree, bounded, that executes nothing."""
