"""Plain functions over records: read, parse, annotate, filter, curate, export. No torch, no ray."""

import csv

# The limit is the process's: set here it is the same whatever was imported before. As much as a row
# of a corpus may hold; a cell with the boxes of an image can pass the module's own 128 KiB.
csv.field_size_limit(16 * 2**20)
