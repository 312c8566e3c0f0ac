"""The pure unit function: records in, one annotation row per record out."""
