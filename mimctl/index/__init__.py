"""Read mimctl's static indexes: what wheels there are, which toolboxes, what models (the pages are made by `site`)."""
