"""Masks for other programs."""
