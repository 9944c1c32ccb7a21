"""One decoder per file format; `cellseg1.images.read` chooses among them by the file's content."""
