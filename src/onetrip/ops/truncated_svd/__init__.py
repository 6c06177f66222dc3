"""Largest singular values and vectors of a matrix, centred or not, reading it tile by tile."""
