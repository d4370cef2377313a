"""A server that keeps Stream's contract."""
