"""Files, wherever they lie."""
