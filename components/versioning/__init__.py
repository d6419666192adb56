"""What git and DVC know of this checkout."""
