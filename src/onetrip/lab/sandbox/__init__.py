"""Walls around code that nobody has read: namespaces, Landlock, limits; standard library only."""
