"""Servers that keep the vendors' contracts on loopback, for trying a job without paying."""
