"""The k nearest neighbours of every query, without ever holding the [Q, N] distances."""
