"""Clustering under scikit-learn's names: ``from onetrip.cluster import KMeans``."""

from onetrip.estimators.hdbscan import HDBSCAN
from onetrip.estimators.kmeans import KMeans
from onetrip.estimators.mini_batch_kmeans import MiniBatchKMeans

__all__ = ["HDBSCAN", "KMeans", "MiniBatchKMeans"]
