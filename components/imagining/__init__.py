"""From a category's name to imagined pictures, each drawn once and kept."""
