"""The ladder in Python: iterative, fork, thread."""
