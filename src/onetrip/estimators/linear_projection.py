"""What estimators with `components_` share: coordinates along them, and the way back."""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from onetrip.core.errors import ShapeError, complaint
from onetrip.estimators.arrays import Given, as_tensor, take
from onetrip.ops.truncated_svd.project import project


class LinearProjection(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Base of PCA and TruncatedSVD; `mean_` is taken out where there is one."""

    components_: Any
    device: Any

    def transform(self, X: Any) -> Any:
        """Coordinates of samples along the components, of shape (n_samples, n_components).

        Parameters
        ----------
        X : array-like, Tensor or SciPy sparse matrix of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        given = take(self, X, reset=False, device=self.device, accept_sparse=True)
        return given.answer(self._coordinates(given))

    def inverse_transform(self, X: Any) -> Any:
        """The points of the original space that have these coordinates.

        Parameters
        ----------
        X : array-like or Tensor of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        if isinstance(X, Tensor):
            coordinates, answer = X, _keep
        else:
            kept: Any = [np.float64, np.float32]
            coordinates = as_tensor(check_array(X, dtype=kept))
            answer = _as_array
        components = torch.as_tensor(self.components_, device=coordinates.device)
        if coordinates.dim() != 2 or coordinates.shape[1] != components.shape[0]:
            expected = f"a matrix of shape (n_samples, {components.shape[0]})"
            raise ShapeError(complaint("X", expected=expected, got=list(coordinates.shape)))
        dtype = torch.promote_types(coordinates.dtype, components.dtype)
        scale = self._scale()
        if scale is not None:
            components = components * scale.to(components)[:, None]
        points = coordinates.to(dtype) @ components.to(dtype)
        mean = self._mean()
        if mean is not None:
            points += mean.to(points)
        return answer(points)

    def _coordinates(self, given: Given) -> Tensor:
        components, mean, scale = torch.as_tensor(self.components_), self._mean(), self._scale()
        if given.csr is not None:
            found = torch.from_numpy(np.asarray(given.csr @ components.cpu().numpy().T))
            if mean is not None:
                found -= mean.to(found) @ components.T.to(found)
        else:
            where = given.samples.device
            moved = None if mean is None else mean.to(where)
            # In float64 there are digits to spare for a mean that is near.
            near = given.samples.dtype == torch.float64 and self._mean_is_near()
            found = project(given.samples, moved, components.to(where), near=near)
        return found if scale is None else found / scale.to(found)

    def _mean(self) -> Tensor | None:
        """What is subtracted from a sample."""
        return None

    def _mean_is_near(self) -> bool:
        """Whether the mean is so short that products with it cost few of float64's digits."""
        return False

    def _scale(self) -> Tensor | None:
        """What coordinates are divided by."""
        return None

    @property
    def _n_features_out(self) -> int:
        """Number of columns that `transform` answers."""
        return self.components_.shape[0]


def _keep(tensor: Tensor) -> Tensor:
    return tensor


def _as_array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
