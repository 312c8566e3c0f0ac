"""Second opinions about boxes: CLIP and SigLIP scores, embeddings, masks, by models of transformers."""
