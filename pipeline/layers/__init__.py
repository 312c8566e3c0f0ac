"""Layers beside a run's labels: written once per unit, read by column, deleted with their folder."""
