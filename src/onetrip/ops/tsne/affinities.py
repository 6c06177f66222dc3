"""Affinities of samples in plain torch, a tile of pairs at a time."""

import torch
from torch import Tensor

from onetrip.ops.tsne import plan
from onetrip.ops.tsne.perplexity import Sums, Widths, find_widths

# Largest error of an exponent for which distances are summed in float32.
_EXPONENT_ERROR = 2.0**-17


class Affinities:
    """The joint probabilities of pairs of samples, as tiles that are computed when asked for.

    Parameters
    ----------
    x : Tensor [N, D]
        Samples; a centred copy in float64 is kept.
    perplexity : effective number of neighbours.

    Attributes
    ----------
    widths : Widths
        Of each sample's neighbourhood.
    """

    def __init__(self, x: Tensor, perplexity: float) -> None:
        wide = x.double()
        # No distance changes by a common offset, and their rounding errors shrink.
        self._x = wide - wide.mean(0)  # [N, D]
        self._square = torch.linalg.vecdot(self._x, self._x)  # [N]
        self.widths = self._find_widths(perplexity)

    def tile(self, begin: int, end: int, first: int, last: int, dtype: torch.dtype) -> Tensor:
        """Joint probabilities [end - begin, last - first] of two ranges of samples.

        Both conditional probabilities come from one tile of distances. A sample has none with
        itself.
        """
        d = self._distances(begin, end, first, last)
        beta, log_sum = self.widths.beta.to(d), self.widths.log_sum.to(d)
        # p(j | i) + p(i | j), over 2 N
        p = torch.addcmul(log_sum[begin:end, None], d, beta[begin:end, None]).neg_().exp_()
        d.mul_(beta[None, first:last]).add_(log_sum[None, first:last]).neg_().exp_()
        p.add_(d).mul_(0.5 / self._x.shape[0])
        if begin == first:
            p.fill_diagonal_(0.0)
        return p.to(dtype)

    def narrow(self) -> None:
        """Go on in float32, if the exponents of all pairs stay right to about 1e-5."""
        spread = float(self._square.max())
        error = float(self.widths.beta.max()) * 4.0 * spread * 2.0**-24
        if self._x.dtype == torch.float64 and error <= _EXPONENT_ERROR:
            self._x, self._square = self._x.float(), self._square.float()

    def _distances(self, begin: int, end: int, first: int, last: int) -> Tensor:
        """Squared distances of two ranges of samples, a new tensor."""
        rows, columns = self._x[begin:end], self._x[first:last]
        d = self._square[begin:end, None] + self._square[None, first:last]
        return d.addmm_(rows, columns.T, alpha=-2.0).clamp_min_(0.0)

    def _find_widths(self, perplexity: float) -> Widths:
        N = self._x.shape[0]
        # The mean distance of all pairs, from the variance alone.
        scale = float(self._square.mean()) * 2.0
        start = 1.0 / scale if scale > 0.0 else 1.0
        beta, log_sum = torch.empty_like(self._square), torch.empty_like(self._square)
        rows = plan.search_rows(N)
        for begin in range(0, N, rows):
            part = slice(begin, min(begin + rows, N))
            beta[part], log_sum[part] = self._widths_of(part.start, part.stop, perplexity, start)
        return Widths(beta, log_sum)

    def _widths_of(
        self, begin: int, end: int, perplexity: float, start: float
    ) -> tuple[Tensor, Tensor]:
        """Widths of a few rows, whose distances to all samples stay in cache meanwhile."""
        N = self._x.shape[0]
        d = self._distances(begin, end, 0, N)
        row = torch.arange(end - begin, device=d.device)
        itself = (row, row + begin)
        d[itself] = torch.inf
        nearest = d.amin(1, keepdim=True)
        d.sub_(nearest)
        d[itself] = 0.0
        e = torch.empty_like(d)

        def sums(beta: Tensor) -> Sums:
            torch.mul(d, -beta[:, None], out=e).exp_()
            e[itself] = 0.0
            total = e.sum(1)
            mean = torch.linalg.vecdot(e, d) / total
            e.mul_(d)
            variance = torch.linalg.vecdot(e, d) / total - mean.square()
            return Sums(total.log(), mean, variance)

        beta, log_sum = find_widths(sums, perplexity, torch.full_like(nearest[:, 0], start))
        return beta, log_sum - beta * nearest[:, 0]
