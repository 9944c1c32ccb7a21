"""The window of CellSeg1 Studio; not written yet (see the README's limits)."""
