"""The embedded models and the scripts that train them from scratch on emblems."""
