"""Many gold sets measured as one benchmark, such as the sets of ODinW."""
