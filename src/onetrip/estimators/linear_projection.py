"""What estimators with `components_` share: coordinates along them, and the way back."""

from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from onetrip.core.errors import ShapeError, complaint
from onetrip.estimators.arrays import Given, as_tensor, take
from onetrip.ops.truncated_svd.project import project_and_look

# Samples up to this size pass every check of theirs; of larger ones `take` decides.
_SURELY_FITS = 2.0**50


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
        options: Any = {"reset": False, "device": self.device, "accept_sparse": True}
        # What reads samples on a device looks at them, too: to check them first is another trip.
        on_device = isinstance(X, Tensor) and X.is_cuda
        given = take(self, X, **options, finite=not on_device)
        coordinates, largest = self._coordinates_and_largest(given)
        if on_device and (largest is None or not float(largest) <= _SURELY_FITS):
            take(self, X, **options)
        return given.answer(coordinates)

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
        mean = self._mean()
        coordinates, components = coordinates.to(dtype), components.to(dtype)
        if mean is None:
            return answer(coordinates @ components)
        return answer(torch.addmm(mean.to(components), coordinates, components))

    def _coordinates(self, given: Given) -> Tensor:
        return self._coordinates_and_largest(given)[0]

    def _coordinates_and_largest(self, given: Given) -> tuple[Tensor, Tensor | None]:
        """Coordinates of samples, and the largest magnitude in these where that was looked at."""
        components, mean, scale = torch.as_tensor(self.components_), self._mean(), self._scale()
        if scale is not None:
            components = components / scale.to(components)[:, None]
        if given.csr is not None:
            found = torch.from_numpy(np.asarray(given.csr @ components.cpu().numpy().T))
            if mean is not None:
                found -= mean.to(found) @ components.T.to(found)
            return found, None
        where = given.samples.device
        moved = None if mean is None else mean.to(where)
        # In float64 there are digits to spare for a mean that is near.
        near = given.samples.dtype == torch.float64 and self._mean_is_near()
        return project_and_look(given.samples, moved, components.to(where), near=near)

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
