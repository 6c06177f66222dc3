"""Datasets larger than memory: sources, steps, quarantine, streaming; knows no operator."""
