"""What no kept version needs, what it takes on disk, and how it is removed."""
