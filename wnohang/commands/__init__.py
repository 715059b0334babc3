"""What the console script can do, one command a file."""
