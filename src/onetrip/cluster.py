"""Clustering under scikit-learn's names."""

from onetrip.estimators.hdbscan import HDBSCAN

__all__ = ["HDBSCAN"]
