"""The bundle that is registered and served, and the path of a query through it."""
