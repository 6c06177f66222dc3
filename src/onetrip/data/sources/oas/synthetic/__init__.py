"""Units made in place: synthetic chains of plausible shape, whole folders of them, and defects."""
