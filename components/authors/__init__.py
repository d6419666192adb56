"""What the method's authors publish, brought into this system: features to evaluate, checkpoints.

Both are pickles, which are read as data: nothing in them is ever run.
"""
