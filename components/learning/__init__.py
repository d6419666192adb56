"""Training the aggregator and the fusion weight λ on features, and evaluating them."""
