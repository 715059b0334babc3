"""What a run found out: one versioned result file, and every other form of it."""
