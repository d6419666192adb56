"""The stage `embed`, and the features that all later stages read."""
