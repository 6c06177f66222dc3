"""The search: which configurations there are, which to try next and why, which is best."""
