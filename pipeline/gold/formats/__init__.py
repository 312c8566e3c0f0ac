"""Importers of gold data: one module per format."""
