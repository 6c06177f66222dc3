"""Matrix decompositions under scikit-learn's names: ``from onetrip.decomposition import PCA``."""

from onetrip.estimators.incremental_pca import IncrementalPCA
from onetrip.estimators.pca import PCA
from onetrip.estimators.truncated_svd import TruncatedSVD

__all__ = ["PCA", "IncrementalPCA", "TruncatedSVD"]
