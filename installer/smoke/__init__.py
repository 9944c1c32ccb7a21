"""Tests of what was built: the frozen or installed program, never the source."""
