"""The demo and the experiment: worlds are drawn, and commands run on them in order."""
