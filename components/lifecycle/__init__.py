"""What becomes of a version: registered, judged, promoted, traced and brought back."""
