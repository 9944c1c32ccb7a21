"""Step 4: accept or correct what was found."""
