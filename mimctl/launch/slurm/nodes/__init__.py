"""What the nodes of a cluster are made of: looked at through Slurm, kept in the user's home, held against a run."""
