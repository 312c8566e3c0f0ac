"""Labels leave and enter: export, import, validate."""
