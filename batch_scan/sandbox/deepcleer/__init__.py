"""A server that keeps DeepCleer's contract."""
