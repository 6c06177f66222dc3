"""The judge: a fresh process for each candidate, verified first, then timed beside baselines."""
