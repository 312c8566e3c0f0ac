"""What the network is trained on: which anchor learns what, and how far off it is."""
