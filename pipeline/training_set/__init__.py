"""From samples to prompted, augmented examples: numpy only, every draw a function of its place."""
