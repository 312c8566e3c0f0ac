"""The review database: where MongoDB comes from, who keeps it, who may use it."""
