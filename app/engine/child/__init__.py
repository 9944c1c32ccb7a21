"""Runs in the engine's process: trains, predicts, answers clicks.  Imports no Qt."""
