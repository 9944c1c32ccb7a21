"""Step 3: predict."""
