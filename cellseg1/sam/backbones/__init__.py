"""One file per backbone (or family of backbones); `cellseg1.sam.registry` lists them.  Imports no torch."""
