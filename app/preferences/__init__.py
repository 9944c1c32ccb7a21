"""The user's preferences: storing, showing, changing."""
