"""Everything that an installation needs, in one folder: for machines without a network."""
