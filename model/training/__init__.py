"""Training: batches, optimiser, schedule, averages, checkpoints, and the one loop of all sizes."""
