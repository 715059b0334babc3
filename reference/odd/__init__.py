"""Servers that are right in an unusual way: no requirement may reject them for it."""
