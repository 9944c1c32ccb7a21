"""The window's texts in other languages, and those of the library."""
