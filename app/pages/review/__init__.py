"""Step 4: accept or correct proposals."""
