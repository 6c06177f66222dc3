"""Clustering under scikit-learn's names: ``from onetrip.cluster import KMeans``."""

from onetrip.estimators.hdbscan import HDBSCAN
from onetrip.estimators.kmeans import KMeans
from onetrip.estimators.kmeans_plusplus import kmeans_plusplus
from onetrip.estimators.mini_batch_kmeans import MiniBatchKMeans

__all__ = ["HDBSCAN", "KMeans", "MiniBatchKMeans", "kmeans_plusplus"]
