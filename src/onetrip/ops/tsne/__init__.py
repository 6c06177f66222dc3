"""Exact t-distributed stochastic neighbour embedding in memory that grows with N."""
