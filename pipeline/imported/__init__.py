"""Gold data as a run: labels of people, to be reviewed, filtered and exported like any other."""
