"""From features to an aggregator and a fusion weight, and how good they are."""
