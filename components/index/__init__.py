"""What is searched: the gallery, its correction for hubness, and the best k of it."""
