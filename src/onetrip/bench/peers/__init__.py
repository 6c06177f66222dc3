"""Other people's implementations, measured beside ours; never a dependency."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata

from torch import Tensor

from onetrip.core.errors import ArgumentError, UnsupportedError, complaint
from onetrip.core.workload import Workload

Call = Callable[..., Tensor]


@dataclass(frozen=True, slots=True)
class Peer:
    """One implementation that a workload's inputs can be given to.

    Parameters
    ----------
    name : what results call it; "<package>-<variant>" where a package has several.
    summary : what it is and with which settings, in one line.
    load : options of the workload -> a function of the public function's inputs by name. Imports
        the package; may raise `UnsupportedError`.
    understands : options and optional inputs that it takes with the same meaning.
    package : distribution that brings it; empty for torch itself.
    """

    name: str
    summary: str
    load: Callable[[Mapping[str, object]], Call]
    understands: frozenset[str] = frozenset()
    package: str = ""

    @property
    def version(self) -> str:
        """Version of the package, empty when it is not installed."""
        try:
            return metadata.version(self.package or "torch")
        except metadata.PackageNotFoundError:
            return ""


def peers_of(operator: str) -> tuple[Peer, ...]:
    """Peers of an operator: the `PEERS` of the file that is named after it, or none.

    >>> [peer.name for peer in peers_of("linear_cross_entropy")][:2]
    ['eager', 'compile']
    """
    name = f"{__name__}.{operator}"
    if importlib.util.find_spec(name) is None:
        return ()
    return importlib.import_module(name).PEERS


def find_peers(operator: str, names: tuple[str, ...]) -> tuple[Peer, ...]:
    """Look up peers by name, in the order of `names`.

    >>> find_peers("linear_cross_entropy", ("eager",))[0].summary
    'plain torch: the logits in memory, then F.cross_entropy in float32'
    """
    known = {peer.name: peer for peer in peers_of(operator)}
    for name in names:
        if name not in known:
            expected = f"one of {list(known)} for {operator}"
            raise ArgumentError(complaint("against", expected=expected, got=repr(name)))
    return tuple(known[name] for name in names)


def load_peer(peer: Peer, workload: Workload) -> Call:
    """Import a peer for `workload`, or raise `UnsupportedError` that says why it cannot run."""
    unknown = {*workload.options, *workload.optional_inputs} - peer.understands
    if unknown:
        raise UnsupportedError(f"{peer.name} has no {', '.join(sorted(unknown))}.")
    try:
        return peer.load(workload.options)
    except ModuleNotFoundError as error:
        way_out = f"It comes with: pip install {peer.package}"
        raise UnsupportedError(f"{peer.name} cannot be imported: {error}. {way_out}") from error
