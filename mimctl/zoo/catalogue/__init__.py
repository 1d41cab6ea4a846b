"""The catalogue: one source file a toolbox, made from metafiles and models of our own, built into an index."""
