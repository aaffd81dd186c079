"""Measures, prints, and judges nothing: `make bench`."""
