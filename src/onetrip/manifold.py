"""Manifold learning under scikit-learn's names: ``from onetrip.manifold import TSNE``."""

from onetrip.estimators.tsne import TSNE

__all__ = ["TSNE"]
