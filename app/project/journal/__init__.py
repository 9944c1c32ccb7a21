"""Every stroke on disk before the next: the journal of a plane and what makes a drawing of it."""
