"""A run directory: its plan, its lock, its commits (each exactly once), and reading it."""
