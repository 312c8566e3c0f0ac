"""Open-vocabulary detectors of transformers as teachers."""
