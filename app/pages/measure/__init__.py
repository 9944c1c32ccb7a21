"""Step 5: measure and compare."""
