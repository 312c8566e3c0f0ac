"""A training run: its recipe, sources, network, loop, figures, and the same on Ray."""
