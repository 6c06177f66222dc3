"""A really trained language-model head, from data that every Python carries.

Random logits flatter or starve any scheme that skips work, so operators over a vocabulary are
measured on the head of a small transformer trained here, for a minute, on the standard
library's own sources. ``python -m onetrip.bench.stdlib_lm --help`` trains one by hand.
"""

import argparse
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from onetrip.bench.cache_folder import publish
from onetrip.bench.causal_lm import CausalLm
from onetrip.bench.lm_training import Trained, train_lm
from onetrip.bench.stdlib_corpus import Progress, read_corpus, silent, tokenise
from onetrip.core import settings
from onetrip.core.errors import ArgumentError, DataError, complaint

FORMAT = 1
_ROWS_PER_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class LmConfig:
    """What is trained and for how long.

    Training stops after `seconds` on the clock or `epochs` passes over the corpus, whichever
    comes first; the learning rate is annealed by then. With `seconds` infinite, the same device
    gives the same model again, in the same precision (bfloat16 where that pays). `batch` counts
    sequences of `context` tokens. `corpus_bytes` is how much of the corpus is read, None for all:
    more than a CPU can train on within a minute would only cost time to tokenise.
    """

    vocab: int = 8192
    layers: int = 2
    width: int = 256
    heads: int = 4
    context: int = 256
    batch: int = 4
    seconds: float = 60.0
    epochs: float = 4.0
    corpus_bytes: int | None = 8_000_000
    learning_rate: float = 3e-3
    dropout: float = 0.0
    tied: bool = False
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("layers", "width", "heads", "context", "batch", "seconds", "epochs"):
            if not getattr(self, name) > 0:
                raise ArgumentError(complaint(name, expected="positive", got=getattr(self, name)))
        if self.width % (2 * self.heads):
            expected = f"a multiple of 2 * heads = {2 * self.heads}"
            raise ArgumentError(complaint("width", expected=expected, got=self.width))


CPU_LM = LmConfig()
DEVICE_LM = LmConfig(
    vocab=32768,
    layers=8,
    width=768,
    heads=12,
    context=1024,
    batch=16,
    seconds=120.0,
    corpus_bytes=None,
    learning_rate=1e-3,
    dropout=0.1,
    device="cuda",
)
PRESETS = {"cpu": CPU_LM, "device": DEVICE_LM}


@dataclass(frozen=True, slots=True)
class HeadProblem:
    """One problem of a trained head: ``loss = cross_entropy(hidden @ head.T, target)``.

    `hidden` is ``[N, D]``, `head` ``[V, D]``, `target` int64 ``[N]``, `loss_nats` the mean loss.
    """

    hidden: Tensor
    head: Tensor
    target: Tensor
    loss_nats: float


@dataclass(frozen=True, slots=True)
class StdlibLm:
    """A trained model in `folder`; `report` says how the training went."""

    folder: Path
    config: LmConfig
    report: Mapping[str, object]

    def problem(
        self,
        tokens: int = 8192,
        *,
        seed: int = 0,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.bfloat16,
    ) -> HeadProblem:
        """Hidden states of held-out text, the head, and the tokens that came next.

        Parameters
        ----------
        tokens : number of rows N.
        seed : picks the held-out windows, which may overlap.
        device, dtype : of `hidden` and `head`.

        Returns
        -------
        HeadProblem
            Rows in the order of the text, window by window.

        Raises
        ------
        DataError
            The folder is damaged.
        """
        model, heldout = self._load(torch.device(device))
        length = min(self.config.context, len(heldout) - 1)
        generator = torch.Generator().manual_seed(seed)
        n_windows = max(1, math.ceil(tokens / length))
        start = torch.randint(0, len(heldout) - length, (n_windows, 1), generator=generator)
        window = heldout[start + torch.arange(length + 1)].long().to(device)  # [n_windows, T + 1]
        rows = max(1, 8 * _ROWS_PER_CHUNK // length)
        with torch.no_grad():
            hidden = torch.cat([model(part[:, :-1]).to(dtype) for part in window.split(rows)])
        hidden = hidden.flatten(0, 1)[:tokens].contiguous()
        target = window[:, 1:].flatten()[:tokens].contiguous()
        head = model.head.weight.detach().to(dtype)
        return HeadProblem(hidden, head, target, _mean_loss(hidden, head, target))

    def _load(self, device: torch.device) -> tuple[CausalLm, Tensor]:
        try:
            weights = load_file(self.folder / "model.safetensors")
            heldout = load_file(self.folder / "heldout.safetensors")["heldout"]
        except (OSError, SafetensorError, KeyError) as error:
            raise DataError(
                f"The trained model in {self.folder} is not readable ({error}). "
                "Delete the folder; the next call trains it again."
            ) from error
        model = _new_model(self.config)
        if self.config.tied:
            weights["head.weight"] = weights["embedding.weight"]
        model.load_state_dict(weights)
        return model.float().to(device).eval(), heldout


def stdlib_lm(
    config: LmConfig = CPU_LM,
    *,
    folder: Path | None = None,
    root: Path | None = None,
    progress: Progress = silent,
) -> StdlibLm:
    """Train a small language model on the standard library's sources, or load it when it exists.

    Parameters
    ----------
    config : sizes, budget of time, device.
    folder : where the model is kept; by default ``<cache_dir>/stdlib-lm/<key>``, where the key
        hashes the configuration and the corpus.
    root : folder of the corpus; by default this Python's standard library.
    progress : called with a stage and the share of it that is done.

    Returns
    -------
    StdlibLm
        Call its `problem` for hidden states, head and targets.

    Raises
    ------
    MissingDependencyError
        The package `tokenizers` is not installed.
    DataError
        No sources, a damaged folder, or a folder that holds another model.

    Notes
    -----
    Safe to kill at any moment: a folder appears when it is complete. A model trained against
    the clock depends on the machine's speed; its `report` tells what came of it.
    """
    corpus = read_corpus(root, config.corpus_bytes)
    identity = {"format": FORMAT, "corpus": corpus.digest, "config": asdict(config)}
    if folder is None:
        text = json.dumps(identity, sort_keys=True)
        key = hashlib.sha256(text.encode()).hexdigest()[:16]
        folder = settings.cache_dir() / "stdlib-lm" / key
    if not folder.exists() or not any(folder.iterdir()):
        tokens = tokenise(corpus, config.vocab, progress)
        model, report = _train(config, tokens.train, tokens.heldout, progress)
        report |= {"corpus_bytes": corpus.bytes, "train_tokens": len(tokens.train)}
        document = identity | {"report": report}
        publish(folder, lambda aside: _write(aside, model, tokens.heldout, document))
    document = _read_document(folder)
    if any(document.get(key) != value for key, value in identity.items()):
        raise DataError(
            f"The folder {folder} holds a model of another configuration, corpus or format. "
            "Choose another folder or delete this one."
        )
    return StdlibLm(folder, config, document["report"])


def _new_model(config: LmConfig) -> CausalLm:
    return CausalLm(
        vocab=config.vocab,
        layers=config.layers,
        width=config.width,
        heads=config.heads,
        context=config.context,
        tied=config.tied,
        dropout=config.dropout,
    )


def _train(
    config: LmConfig, train: Tensor, heldout: Tensor, progress: Progress
) -> tuple[CausalLm, dict]:
    device = torch.device(config.device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        model = _new_model(config).to(device)
        trained: Trained = train_lm(
            model,
            train,
            heldout,
            context=config.context,
            batch=config.batch,
            seconds=config.seconds,
            epochs=config.epochs,
            learning_rate=config.learning_rate,
            progress=progress,
        )
    return model, asdict(trained) | {"torch": torch.__version__}


def _write(folder: Path, model: CausalLm, heldout: Tensor, document: Mapping[str, object]) -> None:
    weights = {
        name: weight.detach().to("cpu", torch.bfloat16)
        for name, weight in model.state_dict().items()
    }
    if model.head.weight is model.embedding.weight:
        del weights["head.weight"]
    save_file(weights, folder / "model.safetensors")
    save_file({"heldout": heldout}, folder / "heldout.safetensors")
    text = json.dumps(document, indent=1, sort_keys=True)
    (folder / "model.json").write_text(text + "\n", encoding="utf-8")


def _read_document(folder: Path) -> dict:
    try:
        return json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise DataError(
            f"The folder {folder} holds no trained model ({error}). "
            "Choose an empty folder or delete this one."
        ) from error


def _mean_loss(hidden: Tensor, head: Tensor, target: Tensor) -> float:
    total = 0.0
    for x, t in zip(hidden.split(_ROWS_PER_CHUNK), target.split(_ROWS_PER_CHUNK), strict=True):
        logits = x.float() @ head.float().T  # [rows, V]
        total += F.cross_entropy(logits, t, reduction="none").double().sum().item()
    return total / len(target) if len(target) else math.nan


def _say(stage: str, done: float) -> None:
    print(f"\r\033[K{stage} {done:.0%}", end="\n" if done >= 1 else "", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Train a preset into a folder, and write one problem of its head beside the model."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="cpu")
    parser.add_argument("--out", type=Path, help="folder of the model (default: in the cache)")
    parser.add_argument("--seconds", type=float, help="budget of training time")
    parser.add_argument("--tokens", type=int, default=8192, help="rows of the problem")
    parser.add_argument("--seed", type=int, default=0, help="which held-out windows")
    chosen = parser.parse_args(arguments)
    config = PRESETS[chosen.preset]
    if chosen.seconds is not None:
        config = replace(config, seconds=chosen.seconds)
    lm = stdlib_lm(config, folder=chosen.out, progress=_say)
    problem = lm.problem(chosen.tokens, seed=chosen.seed, device=config.device)
    tensors = {"hidden": problem.hidden, "head": problem.head, "target": problem.target}
    save_file(
        {name: t.cpu().clone() for name, t in tensors.items()}, lm.folder / "problem.safetensors"
    )
    print(json.dumps(lm.report, indent=1))
    print(f"{lm.folder}: N={len(problem.target)}, loss {problem.loss_nats:.3f} nats")


if __name__ == "__main__":
    main()
