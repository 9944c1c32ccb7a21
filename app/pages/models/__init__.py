"""The models of the computer."""
