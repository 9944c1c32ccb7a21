"""Step 1: paint cells."""
