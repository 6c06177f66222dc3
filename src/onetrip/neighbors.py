"""Neighbours under scikit-learn's names: ``from onetrip.neighbors import NearestNeighbors``."""

from onetrip.estimators.kneighbors_classifier import KNeighborsClassifier
from onetrip.estimators.kneighbors_regressor import KNeighborsRegressor
from onetrip.estimators.nearest_neighbors import NearestNeighbors

__all__ = ["KNeighborsClassifier", "KNeighborsRegressor", "NearestNeighbors"]
