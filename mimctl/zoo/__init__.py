"""The model zoo: which models there are, what a short name means, how weights and config come to lie side by side."""
