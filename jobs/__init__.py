"""Processes: the command line and what each command runs."""
