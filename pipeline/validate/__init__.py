"""Checks grounding data that others wrote, or we: every problem with its place."""
