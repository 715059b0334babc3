"""The ladder in C: iterative, fork, thread."""
