"""A form for the library's settings."""
