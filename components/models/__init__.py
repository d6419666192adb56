"""Pre-trained models: loading them safely, and running them on batches that fit into memory."""
