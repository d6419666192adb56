"""Datasets: adapters yield categories of pictures, and two stages record and write them."""
