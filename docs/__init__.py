"""The documents, and the code that writes those of them which code can write: `make docs`."""
