"""Asks git and DVC about this checkout, and pushes and restores data with DVC."""
