"""What the user likes: kept, shown, changed."""
