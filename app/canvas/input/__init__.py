"""Pointer and keyboard on the canvas."""
