"""The public interface of `cellseg1`: arrays or files in, typed results out.

This package calls the other parts of the library and contains no methods of its own.
"""
