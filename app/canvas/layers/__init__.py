"""What the canvas draws, from the image up."""
