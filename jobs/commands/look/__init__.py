"""Try it: the demo, and questions about one image."""
