"""Files of rows: lines of JSON, entries of a JSON array, CSV and its kin. Each row is an object."""
