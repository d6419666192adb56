"""The life of a version: it is registered, judged, promoted, traced and restored."""
