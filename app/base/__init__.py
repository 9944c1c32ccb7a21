"""Shared by the window and the engine processes: places, names, axes, files of runs.  Imports no Qt."""
