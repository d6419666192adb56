"""Serving: the BentoML service, its page, and the releases that give it a bundle."""
