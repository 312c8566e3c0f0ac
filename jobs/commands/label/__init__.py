"""A run: made, enriched, explained."""
