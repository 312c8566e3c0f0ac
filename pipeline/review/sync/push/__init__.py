"""From the run to the App; never overwrites a person."""
