"""Building blocks of the window; each module holds one widget, to be imported from there."""
