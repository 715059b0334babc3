"""Servers that are right: the ladder (c, python), the odd but right (odd), and, in mutants, those that are wrong."""
