"""Captions to noun phrases with exact character spans, and the words that decide about them."""
