"""What is open and what runs for it; has no widgets."""
