"""The window's frame: what is around the pages, what starts and ends it."""
