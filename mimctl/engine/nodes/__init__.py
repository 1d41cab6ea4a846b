"""Several nodes without a scheduler of ranks: their agents meet, watch each other and end a run as one."""
