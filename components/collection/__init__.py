"""The collection: checks the pictures that people add, keeps them, and finds copies of them."""
