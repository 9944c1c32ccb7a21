"""What the window and the engine's process both know: places, names, axes, files of runs.  Imports no Qt."""
