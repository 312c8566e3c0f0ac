"""What labelling asks of a corpus, and corpora whose images have other captions."""
