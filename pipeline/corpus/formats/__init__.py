"""One reader for each kind of corpus; `pipeline.corpus.open` chooses among them."""
