"""Imagined pictures of each category: planned, generated once, and kept in a store."""
