"""Before a run: the machine, the corpus, the models, the schemas."""
