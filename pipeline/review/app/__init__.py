"""The App server behind its guard, and what our plugin shows and does in it."""
