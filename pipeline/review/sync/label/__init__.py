"""What a label in the App is, and what it says. Pure."""
