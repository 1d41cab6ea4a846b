"""Parts of training and decoding without weights: points, box coders, assigners, samplers."""
