"""From features to a ranking: trained, measured, bundled and asked."""
