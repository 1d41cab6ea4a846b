"""Which distributions are needed and at which versions: a catalog that reads indexes, a resolver that is pure."""
