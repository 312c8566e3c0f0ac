"""Finding pairs and boxes of a run: by words, by SQL, by likeness."""
