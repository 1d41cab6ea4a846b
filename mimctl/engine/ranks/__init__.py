"""Several processes: who they are, what they exchange, models spread over them, what they say when one fails."""
