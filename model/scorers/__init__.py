"""Second opinions about boxes: scores, embeddings and masks by models of transformers."""
