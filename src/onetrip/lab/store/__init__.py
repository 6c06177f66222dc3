"""The lab's memory: one SQLite file that survives a kill at any moment."""
