"""Plain functions over records: read, parse, annotate, filter, curate, export. No torch, no ray."""
