"""Experiments: propose configurations, judge each in a process of its own, remember everything."""
