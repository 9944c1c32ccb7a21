"""What runs, below everything."""
