"""One module for each format, and the files that several of them write."""
