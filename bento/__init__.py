"""Serving: the BentoML service, its page, and the releases that bring a bundle to it."""
