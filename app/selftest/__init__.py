"""The window drives itself through its main job."""
