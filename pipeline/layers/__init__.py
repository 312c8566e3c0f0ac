"""Layers beside a run's labels: written once per unit, read by column, gone with their folder."""
