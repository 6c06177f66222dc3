"""Columns of text at array speed: hashes, neighbours, complexity, samples, vocabularies."""
