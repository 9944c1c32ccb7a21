"""What makes the installers; run from the root of a checkout."""
