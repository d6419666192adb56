"""Datasets: each adapter yields pictures of named categories in splits."""
