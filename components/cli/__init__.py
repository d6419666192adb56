"""The command line `eidolon`: one verb for each stage, and verbs for data, models and search."""
