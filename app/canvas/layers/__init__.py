"""The layers that the canvas draws, from the image upwards."""
