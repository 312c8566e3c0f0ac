"""Figures against gold: phrase recall, label precision, detection AP; chance beside each."""
