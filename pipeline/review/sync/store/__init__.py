"""The review database as documents: samples, labels, journal, ledger."""
