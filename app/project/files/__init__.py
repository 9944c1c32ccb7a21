"""Files of a project: written whole, locked, read with limits."""
