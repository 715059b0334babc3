"""What is done to a server so that a duty is put to the test, each with the proof that it took effect."""
