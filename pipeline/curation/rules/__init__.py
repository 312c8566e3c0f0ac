"""The rules of filter policies: flat arrays of candidates in, a code for each box out."""
