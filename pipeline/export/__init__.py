"""Exporters of curated records: one file per format, all streaming."""
