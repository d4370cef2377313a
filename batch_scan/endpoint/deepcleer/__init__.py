"""DeepCleer."""
