"""Students: trained, trained in rounds, measured."""
