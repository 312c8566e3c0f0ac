"""Files and object stores: read, list, write whole, create exclusively; tars and URL patterns."""
