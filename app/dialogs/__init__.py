"""Dialogs; each module holds one, to be imported from there."""
