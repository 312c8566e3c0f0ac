"""Make labels right: search, measure, filter, review, compare."""
