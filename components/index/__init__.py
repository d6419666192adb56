"""The index: the gallery of pictures, its correction for hubness, and the best k results."""
