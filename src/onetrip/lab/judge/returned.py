"""What a call returned: exactly the tensors that the problem asks for, and nothing that is not one.

Everything here runs when the clock has stopped. A result that would compute, or be computed, only
now is refused; so is one that is an input, or was the result of the call before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from onetrip.lab.judge.arena import Place

# Private, hence looked up: a copy on write shares memory until somebody reads it.
_is_cow = getattr(torch._C, "_is_cow_tensor", lambda tensor: False)


class BrokenRuleError(Exception):
    """The candidate did what no honest candidate does; the message begins with the rule's name."""


class WrongOutputError(Exception):
    """A result of the wrong number, shape, dtype or layout."""


@dataclass(frozen=True, slots=True)
class Span:
    """Addresses from `begin` up to `end`."""

    begin: int
    end: int

    def meets(self, other: "Span") -> bool:
        """Whether they share an address."""
        return self.begin < other.end and other.begin < self.end


def results_in_order(returned: object, places: Sequence[Place]) -> list:
    """The returned tensors in the problem's order; raises `WrongOutputError`."""
    if isinstance(returned, Mapping):
        missing = [place.name for place in places if place.name not in returned]
        if missing:
            raise WrongOutputError(f"The call returned no {', '.join(missing)}.")
        results = [returned[place.name] for place in places]
    elif type(returned) in (tuple, list):
        results = list(returned)  # type: ignore
    else:
        results = [returned]
    if len(results) != len(places):
        names = ", ".join(place.name for place in places)
        raise WrongOutputError(f"The call returned {len(results)} values, not {names}.")
    return results


def check_results(results: Sequence[object], places: Sequence[Place], device: str) -> None:
    """Raise unless every result is a plain tensor that is done, of the right shape and dtype."""
    for result, place in zip(results, places, strict=True):
        if type(result) is not Tensor:
            if isinstance(result, Tensor) and type(result) is not torch.nn.Parameter:
                raise BrokenRuleError(
                    f"lazy result: `{place.name}` is a {type(result).__name__}, a subclass of "
                    "Tensor, which could compute when it is read"
                )
            raise WrongOutputError(
                f"`{place.name}` must be a torch.Tensor, got {type(result).__name__}."
            )
        _check_tensor(result, place, device)


def _check_tensor(result: Tensor, place: Place, device: str) -> None:
    if result.__dict__:
        raise BrokenRuleError(
            f"lazy result: `{place.name}` has attributes of its own: {sorted(result.__dict__)[:5]}"
        )
    found = str(result.dtype).removeprefix("torch.")
    if tuple(result.shape) != place.shape or found != place.dtype:
        raise WrongOutputError(
            f"`{place.name}` must be {place.dtype} of shape {list(place.shape)}, got {found} of "
            f"shape {list(result.shape)}."
        )
    if result.device != torch.device(device):
        raise WrongOutputError(f"`{place.name}` must be on {device}, got {result.device}.")
    if result.layout is not torch.strided or not result.is_contiguous():
        raise WrongOutputError(f"`{place.name}` must be contiguous: return it `.contiguous()`.")
    if result.is_conj() or result.is_neg() or _is_cow(result):
        raise BrokenRuleError(f"lazy result: `{place.name}` is computed when it is read")


def span_of(tensor: Tensor) -> Span:
    """Addresses of a tensor's storage."""
    storage = tensor.untyped_storage()
    return Span(storage.data_ptr(), storage.data_ptr() + storage.nbytes())


def own_span(tensor: Tensor) -> Span:
    """Addresses of a contiguous tensor's own elements."""
    begin = tensor.data_ptr()
    return Span(begin, begin + tensor.numel() * tensor.element_size())


def refuse_borrowed(
    results: Sequence[Tensor],
    places: Sequence[Place],
    inputs: Span,
    allowed: Sequence[Span],
    before: Sequence[Tensor],
) -> None:
    """Raise if a result is in memory of the inputs, or was returned by the call before.

    `allowed` are inputs that the definition itself returns. `before` are kept alive by the judge,
    so that nobody gets their memory by chance.
    """
    for result, place in zip(results, places, strict=True):
        if not result.numel():
            continue
        span = own_span(result)
        if any(span.meets(other) for other in allowed):
            continue
        if span.meets(inputs):
            raise BrokenRuleError(f"borrowed result: `{place.name}` lies in memory of the inputs")
        if any(span.meets(own_span(other)) for other in before if other.numel()):
            raise BrokenRuleError(
                f"borrowed result: `{place.name}` lies in memory that the call before returned, "
                "and that is its result no more"
            )
