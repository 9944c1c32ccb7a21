"""Packages for Linux: a `.run` that needs no root, and a `.deb`."""
