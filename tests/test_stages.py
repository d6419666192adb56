"""The stages from pictures to bundle, on the toy project."""
