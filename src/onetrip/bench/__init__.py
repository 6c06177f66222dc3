"""Timing, rooflines, real data for workloads, and recordings of real calls."""
