"""What `cellseg1` offers by its own name: arrays or files in, typed results out.

Everything here stands above the other parts of the library and holds no science of its own.
"""
