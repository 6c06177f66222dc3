"""Twice its input: an operator whose configuration can misbehave in every way."""
