"""Whether data can be trusted: the dataset as a whole, and each imagined picture.

Everything is measured first (``measure``); ``judge`` compares the numbers with the limits of
params.yaml; Great Expectations (``suites``) decides from the same limits whether the pipeline may
go on. ``heal`` draws offending pictures anew, ``inspect`` looks at the dataset, ``page`` shows what
offended, ``thresholds`` plots the distributions that the limits cut.
"""
