"""From the App back to the run: what people did becomes decisions."""
