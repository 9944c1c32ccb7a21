"""Dialogs about a whole project."""
