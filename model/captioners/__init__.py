"""Captioners: words for images that have none."""
