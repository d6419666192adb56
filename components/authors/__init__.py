"""Reads what the method's authors publish: features, to repeat their evaluation, and checkpoints.

Both are pickles. They are read as data, and nothing in them is ever run.
"""
