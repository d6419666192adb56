"""Eidolon: text-to-image retrieval through imagined pictures (the library)."""
