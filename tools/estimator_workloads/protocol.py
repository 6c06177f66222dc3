"""What a file of this folder holds: the races of one estimator, and how it grows.

A file `<estimator>.py` defines

- ``OPERATOR``: the operator in `onetrip.ops` under which `results/` keeps the lines;
- ``ESTIMATOR``: the public name, "NearestNeighbors";
- ``RACES``: a tuple of `Race`, five or more, chosen before they were measured;
- ``growth(n_samples) -> Race``: the same problem at any size, for the plot of growth; only the
  contender "onetrip" runs there;
- ``GROWTH_SIZES``: sizes of that plot, where a thousand to a million are not the right ones.

Every contender of a race runs in a process of its own that draws the same data, so that peak
memory is its own and no library's threads disturb another's. A contender imports its library
inside its function: the first call, which is not timed, pays for that.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Data = Mapping[str, Any]
OURS = "onetrip"


@dataclass(frozen=True, slots=True)
class Race:
    """One problem that our estimator and its peers solve side by side.

    Parameters
    ----------
    name : unique within the file.
    axes : the word of an axis -> its size, {"n_samples": 20_000}.
    why : what this problem shows that the others do not.
    make : draws the data; the same in every process, so from a fixed seed.
    contenders : name -> a function of the data that solves the problem from scratch (fit, and
        what is asked after it) and returns the answer, picklable; "onetrip" must be among them.
        A module level function or a `functools.partial` of one, as processes are spawned.
    check : called with the data and the answers by contender; raises AssertionError with a
        sentence where our answer is wrong. No time is reported of a race whose check fails.
    """

    name: str
    axes: Mapping[str, int]
    why: str
    make: Callable[[], Data]
    contenders: Mapping[str, Callable[[Data], Any]]
    check: Callable[[Data, Mapping[str, Any]], None]
    dtype: str = "float32"
