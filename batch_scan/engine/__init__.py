"""Who does the work: one machine."""
