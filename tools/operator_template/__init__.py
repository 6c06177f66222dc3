"""Rectified linear unit of a scaled matrix, reading it once."""
