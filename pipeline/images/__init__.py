"""Image bytes: fetched by their URI, decoded to upright RGB pixels, drawn on for people."""
