"""Runs recipes: stages, tasks, workers, executors; everything resumes, every account closes."""
