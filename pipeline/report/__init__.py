"""One self-contained HTML page about a run: plots as inline SVG, pictures as data URLs."""
