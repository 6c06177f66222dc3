"""Principal components as a Gaussian model of the samples: covariance, precision, likelihood."""

import math
from typing import Any

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from onetrip.core.errors import ArgumentError
from onetrip.estimators.arrays import take
from onetrip.estimators.linear_projection import LinearProjection
from onetrip.ops.truncated_svd.project import project

# Squared length of the mean, over the variance along the components, up to which taking it out of
# coordinates costs at most five of float64's 53 bits.
_NEAR = 1024.0


class GaussianModel(LinearProjection):
    """Components with their variances, and noise of one variance in all other directions.

    Its covariance is ``componentsᵀ diag(variance - noise) components + noise · 1`` (Tipping and
    Bishop, 1999).
    """

    mean_: Any
    explained_variance_: Any
    noise_variance_: float
    whiten: bool

    def get_covariance(self) -> Any:
        """Covariance of the model, of shape (n_features, n_features)."""
        check_is_fitted(self)
        components, excess = self._excess()
        covariance = (components.T * excess) @ components
        covariance.diagonal().add_(self.noise_variance_)
        return self._like_components(covariance)

    def get_precision(self) -> Any:
        """Inverse of the covariance, of shape (n_features, n_features)."""
        check_is_fitted(self)
        return self._like_components(self._precision())

    def score_samples(self, X: Any) -> Any:
        """Log-likelihood of each sample under the model, of shape (n_samples,).

        Parameters
        ----------
        X : array-like or Tensor of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        given = take(self, X, reset=False, device=self.device)
        precision = self._precision().to(given.samples.device)
        mean = torch.as_tensor(self.mean_, device=given.samples.device)
        # Rows of the precision's root: |(x - m) root|² is the squared length in its metric.
        values, vectors = torch.linalg.eigh(precision)
        root = (vectors * values.clamp_min(0.0).sqrt()).T
        length = project(given.samples, mean, root).square().sum(1)
        features = given.shape[1]
        log_volume = float(torch.linalg.slogdet(precision).logabsdet)
        score = -0.5 * length - 0.5 * (features * math.log(2.0 * math.pi) - log_volume)
        return given.answer(score.to(torch.as_tensor(self.components_).dtype))

    def score(self, X: Any, y: Any = None) -> float:
        """Mean log-likelihood of the samples under the model; `y` is ignored."""
        return float(self.score_samples(X).mean())

    def _precision(self) -> Tensor:
        components, excess = self._excess()
        noise = self.noise_variance_
        features = components.shape[1]
        identity = torch.eye(features, dtype=torch.float64, device=components.device)
        if noise == 0.0:
            if components.shape[0] < features or not bool((excess > 0).all()):
                raise ArgumentError(
                    "The covariance of these samples has no inverse: some direction has no "
                    "variance, so no sample has a density. Keep fewer components: the variance "
                    "that is left out becomes noise in every direction."
                )
            return torch.linalg.inv((components.T * excess) @ components)
        if components.shape[0] == 0:
            return identity / noise
        # Along a component the variance is noise + excess, elsewhere noise.
        share = excess / (excess + noise)
        return (identity - (components.T * share) @ components) / noise

    def _mean(self) -> Tensor | None:
        return torch.as_tensor(self.mean_)

    def _mean_is_near(self) -> bool:
        offset = torch.as_tensor(self.mean_).double().square().sum()
        return bool(offset <= _NEAR * torch.as_tensor(self.explained_variance_).double().sum())

    def _scale(self) -> Tensor | None:
        if not self.whiten:
            return None
        # A direction of rank-deficient samples has a variance of about zero.
        scale = torch.as_tensor(self.explained_variance_).sqrt()
        return scale.clamp_min(torch.finfo(scale.dtype).eps)

    def _excess(self) -> tuple[Tensor, Tensor]:
        """Components in float64, and their variances beyond the noise."""
        components = torch.as_tensor(self.components_).double()
        variance = torch.as_tensor(self.explained_variance_).double()
        return components, (variance - self.noise_variance_).clamp_min(0.0)

    def _like_components(self, tensor: Tensor) -> Any:
        if isinstance(self.components_, Tensor):
            return tensor.to(self.components_)
        return tensor.cpu().numpy().astype(np.asarray(self.components_).dtype)
