"""The command line `eidolon`: a verb for each stage, and verbs for data, models and search."""
