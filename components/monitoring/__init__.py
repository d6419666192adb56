"""What was asked, how it was answered, and whether the world has moved since the training."""
