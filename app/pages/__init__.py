"""The panels beside the canvas: one for each of the five steps, and the list of models.

A panel takes the session and the canvas and talks to nothing else; what it wants of the window it says with signals
(`step_wanted`, `models_wanted`).
"""
