"""Importers of gold data: one file per format, all giving a `GoldSet`."""
