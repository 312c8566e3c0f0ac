"""A labelling run as processes: what a worker does, and the runners that feed workers."""
