"""From a model and an image to cells: views, decoding, proposals, selection, files."""
