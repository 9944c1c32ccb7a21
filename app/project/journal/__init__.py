"""The journal of a plane, which has every stroke on disk before the next, and the reconstruction of a drawing."""
