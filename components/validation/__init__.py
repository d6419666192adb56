"""Checks whether data can be trusted: the dataset as a whole, and each imagined picture.

``measure`` measures every picture first. ``judge`` compares the numbers with the limits of
params.yaml. From the same limits Great Expectations (``suites``) decides whether the pipeline may
continue. ``regeneration`` draws rejected pictures again, and ``page`` shows them. ``inspection``
checks the dataset. ``thresholds`` plots the distributions that the limits cut.
"""
