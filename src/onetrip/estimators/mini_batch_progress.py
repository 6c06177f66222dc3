"""When mini-batch k-means stops: a smoothed inertia that no longer falls, as in scikit-learn."""


class Progress:
    """Inertia of the batches so far, smoothed.

    Parameters
    ----------
    batch_rows, rows : sizes of a batch and of all samples
    patience : batches without a smaller smoothed inertia before it is over; None is for ever
    verbose : print a line for each batch
    """

    def __init__(self, batch_rows: int, rows: int, patience: int | None, verbose: bool) -> None:
        self.smoothed: float | None = None
        self._batch_rows = batch_rows
        self._share = min(1.0, 2.0 * batch_rows / (rows + 1))
        self._patience = patience
        self._verbose = verbose
        self._least: float | None = None
        self._without_improvement = 0

    @property
    def asks(self) -> bool:
        """Whether anything here depends on the inertia of a batch."""
        return self._patience is not None or self._verbose

    def is_over(self, step: int, n_steps: int, inertia: float, settled: bool) -> bool:
        """Take in the inertia of batch number `step`; `settled`: the centres hardly moved."""
        mean = inertia / self._batch_rows
        if step == 1:  # The inertia of the start.
            self._say(step, n_steps, f"mean batch inertia: {mean}")
            return False
        share = self._share
        self.smoothed = (
            mean if self.smoothed is None else self.smoothed * (1 - share) + mean * share
        )
        self._say(step, n_steps, f"mean batch inertia: {mean}, smoothed: {self.smoothed}")
        if settled:
            self._say(step, n_steps, "converged: small change of the centers")
            return True
        if self._least is None or self.smoothed < self._least:
            self._least, self._without_improvement = self.smoothed, 0
        else:
            self._without_improvement += 1
        if self._patience is not None and self._without_improvement >= self._patience:
            self._say(step, n_steps, "converged: no improvement of the inertia")
            return True
        return False

    def _say(self, step: int, n_steps: int, what: str) -> None:
        if self._verbose:
            print(f"Minibatch step {step}/{n_steps}: {what}")
