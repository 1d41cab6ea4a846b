"""Look over one target environment: facts are gathered once, each check is a small function on them."""
