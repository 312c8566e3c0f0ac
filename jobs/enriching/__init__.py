"""Makes the layers of a run, here or on Ray."""
