"""GLIP: the network, its weights, and the teacher that grounds phrases with it."""
