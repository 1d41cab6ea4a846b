"""One change of an environment, whole or not at all: lock, journal, snapshot, repair."""
