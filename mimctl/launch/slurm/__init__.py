"""Slurm: a batch script, its submission, and what becomes of the job. Its commands are called, no library is used."""
