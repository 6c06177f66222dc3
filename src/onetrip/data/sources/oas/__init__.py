"""Observed Antibody Space: units of gzipped CSV under one line of metadata, read and made."""
