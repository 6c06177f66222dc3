"""What the four metrics differ in: the score that selects, its error bound, the exact distance.

A score orders the candidates of one query as the distance does, the nearest least. All scores are
one product of rows with a column more than the data have::

    euclidean, sqeuclidean    |y|² - 2 x·y     x, y less a common offset
    cosine                    -x·y             x, y scaled to length 1
    inner_product             -x·y             y less an offset, which adds the same to all of a row
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from onetrip.ops.kneighbors.plan import FEW_QUERIES
from onetrip.tile.certified import UNIT_ROUNDOFF, exact_distances, score_bound
from onetrip.tile.side_by_side import on_one_thread

METRICS = ("euclidean", "sqeuclidean", "cosine", "inner_product")
# Any offset is right; one close to the mean makes the bounds small.
_OFFSET_ROWS = 4096
# Elements of float64 differences that stay in a core's cache.
_EXACT_ELEMENTS = 1 << 17
# Elements whose roots threads take longer to share than one to take: torch shares 4096.
_WORTH_THREADS = 1 << 19


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric, the dtype that its scores are computed in, and the common offset of the data.

    `product` is the format that operands of a product are rounded to, where it is not `work`.
    """

    name: str
    work: torch.dtype
    offset: Tensor | None
    product: str = ""

    def narrowed(self) -> "Metric | None":
        """The same with scores in float32; None where they are, or are no product's."""
        return replace(self, work=torch.float32) if self.work == torch.float64 else None

    @property
    def is_euclidean(self) -> bool:
        """Whether differences make the distance."""
        return self.name in ("euclidean", "sqeuclidean")

    def prepare_queries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows [R, D + 1] that a product with corpus rows turns into scores, and norms [R]."""
        R, D = x.shape
        rows = torch.empty(R, D + 1, dtype=self.work, device=x.device)
        body = rows[:, :D]
        if self.name == "cosine":
            torch.div(x, _norms(x)[:, None], out=body)
        elif self.is_euclidean and self.offset is not None:
            torch.sub(x, self.offset, out=body)
        else:
            body.copy_(x)
        norms = _norms(body)
        body.mul_(-2.0 if self.is_euclidean else -1.0)
        rows[:, D] = 1.0
        return rows, norms

    def prepare_corpus(self, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Rows [C, D + 1] of `y` [c, D], c <= C, the rest infinitely far, and their largest norm.

        `rows` [C, D + 1] is room for them.
        """
        c, D = y.shape
        body = rows[:c, :D]
        if self.name == "cosine":
            torch.div(y, _norms(y)[:, None], out=body)
        elif self.offset is not None:
            torch.sub(y, self.offset, out=body)
        else:
            body.copy_(y)
        squares = torch.linalg.vecdot(body, body)
        if self.is_euclidean:
            rows[:c, D] = squares
        else:
            rows[:c, D] = 0.0
        rows[c:, :D] = 0.0
        rows[c:, D] = torch.inf
        return rows, squares.max().sqrt()

    def scores(self, x: Tensor, y: Tensor, out: Tensor) -> None:
        """Scores [C, R] of prepared rows `x` and `y`."""
        torch.mm(y, x.T, out=out)

    def bound(self, score: Tensor, x_norm: Tensor, y_norm_max: Tensor, D: int) -> Tensor:
        """How far a score may be from its true value, [R], for all scores up to `score` [R]."""
        accumulator = str(self.work).removeprefix("torch.")
        unit = UNIT_ROUNDOFF[self.product or accumulator]
        # One product more for the squared norm, and what scaling to length 1 rounds.
        bound = score_bound(x_norm, y_norm_max, unit, D + 8, accumulator)
        # Below the least normal number errors are absolute.
        return bound + 4.0 * (D + 8) * torch.finfo(self.work).tiny

    def exact(self, x: Tensor, y: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        """Float64 values of pairs, the nearest least: squared differences, or minus products."""
        found = torch.empty(rows.shape[0], dtype=torch.float64, device=x.device)
        step = max(1, _EXACT_ELEMENTS // max(1, x.shape[1]))
        for begin in range(0, rows.shape[0], step):
            part = slice(begin, begin + step)
            if self.is_euclidean:
                found[part] = exact_distances(x, y, rows[part], columns[part])
                continue
            a = x.index_select(0, rows[part]).double()  # [step, D]
            b = y.index_select(0, columns[part]).double()
            found[part] = self._of_products(a, b)
        return found

    def exact_of_all(self, x: Tensor, y: Tensor) -> Tensor:
        """The same of one query `x` [D] with each row of `y` [N, D], both in float64."""
        if self.is_euclidean:
            return (y - x).square_().sum(1)
        return self._of_products(x[None], y)

    def _of_products(self, a: Tensor, b: Tensor) -> Tensor:
        products = torch.linalg.vecdot(a, b)
        if self.name == "cosine":
            return 1.0 - products / (_norms(a) * _norms(b))
        return -products

    def finish(self, values: Tensor) -> Tensor:
        """What is returned for exact values: distances, or inner products."""
        if self.name == "euclidean":
            with on_one_thread(where=values.numel() < _WORTH_THREADS):
                return values.sqrt()
        if self.name == "cosine":
            return values.clamp(0.0, 2.0)
        return -values if self.name == "inner_product" else values


class Differences(Metric):
    """Euclidean scores without a product: ``|x - y|²`` itself, for a handful of queries.

    A product wants the corpus in another form, which costs as much as several queries; this reads
    it where it lies.
    """

    def narrowed(self) -> Metric | None:
        """No: differences are read where they lie, in their own dtype."""
        return None

    def prepare_queries(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Rows [R, D]; their norms play no part."""
        return x.to(self.work), x.new_zeros(x.shape[0], dtype=self.work)

    def prepare_corpus(self, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """`y` itself where it can be, else a copy in `rows`, with the rest infinitely far."""
        nothing = rows.new_zeros(())
        if y.shape[0] == rows.shape[0] and y.dtype == self.work:
            return y, nothing
        prepared = rows.view(-1)[: rows.shape[0] * y.shape[1]].view(-1, y.shape[1])
        prepared[: y.shape[0]] = y
        prepared[y.shape[0] :] = torch.inf
        return prepared, nothing

    def scores(self, x: Tensor, y: Tensor, out: Tensor) -> None:
        """Squared distances [C, R]."""
        distances = torch.cdist(y, x, compute_mode="donot_use_mm_for_euclid_dist")
        torch.square(distances, out=out)

    def bound(self, score: Tensor, x_norm: Tensor, y_norm_max: Tensor, D: int) -> Tensor:
        """Errors are relative to the score itself: of differences, squares, sum and root."""
        unit = UNIT_ROUNDOFF[str(self.work).removeprefix("torch.")]
        tiny = torch.finfo(self.work).tiny
        return 1.1 * (D + 8) * unit * score + 4.0 * (D + 8) * tiny


def make_metric(name: str, x: Tensor, y: Tensor) -> Metric:
    """The metric with the form of scores that suits these queries and this corpus."""
    if name in ("euclidean", "sqeuclidean") and x.shape[0] <= FEW_QUERIES:
        return Differences(name, _work(x), None)
    return make_products(name, x, y)


def make_products(name: str, x: Tensor, y: Tensor) -> Metric:
    """The metric with scores that are products, and its offset."""
    offset = None
    if name != "cosine" and y.shape[0]:
        step = -(-y.shape[0] // _OFFSET_ROWS)
        with on_one_thread():
            offset = y[::step].mean(0, dtype=torch.float64).to(_work(x))
    return Metric(name, _work(x), offset)


def _work(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _norms(x: Tensor) -> Tensor:
    """Euclidean norms of rows, 1 for rows of zeros, in the wider of their dtype and float32."""
    wide = torch.float64 if x.dtype == torch.float64 else torch.float32
    norms = torch.linalg.vector_norm(x, dim=1, dtype=wide)
    return torch.where(norms == 0, 1.0, norms)
