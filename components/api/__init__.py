"""The search API: its messages, and a client for Python."""
