"""The bundle that is registered and served, and the search in it."""
