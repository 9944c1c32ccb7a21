"""The list of images beside the canvas."""
