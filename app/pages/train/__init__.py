"""Step 2: train."""
