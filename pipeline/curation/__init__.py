"""Annotations, a policy and the decisions of people become curated rows."""
