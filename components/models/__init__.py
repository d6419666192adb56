"""Pre-trained models: loaded safely, and fed as much as their memory takes."""
