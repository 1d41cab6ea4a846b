"""From a bare machine to a trained vision model: the verbs of the command line as typed functions."""

__version__ = "0.1.0"
