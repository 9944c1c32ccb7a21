"""CellSeg1 Studio: the window.  Imports nothing, because child processes import this package too."""
