"""A text corpus that every Python carries: the standard library's own sources, as tokens."""

import hashlib
import os
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from onetrip.bench.cache_folder import publish
from onetrip.core import settings
from onetrip.core.errors import ArgumentError, DataError, complaint, require

FORMAT = 1
END_OF_FILE = "<|file|>"
# 256 bytes and END_OF_FILE come before the first merge.
SMALLEST_VOCAB = 257
_SKIPPED_FOLDERS = frozenset({"site-packages", "dist-packages", "__pycache__"})
_FILES_PER_HELD_OUT = 20
# Merges learnt from every fourth file cover the rest within 1.5 % of the tokens, at a sixth of
# the time.
_TOKENIZER_STRIDE = 4
_FILES_PER_BATCH = 128

Progress = Callable[[str, float], None]


def silent(stage: str, done: float) -> None:
    """Report nothing: the default `Progress`."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """Python sources in a fixed order, and the hash of their names and contents."""

    train: tuple[str, ...]
    heldout: tuple[str, ...]
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token streams of the two parts of a corpus.

    `train` and `heldout` are int32 ``[n_tokens]``; a file ends with token 0.
    """

    train: Tensor
    heldout: Tensor
    vocab: int


def read_corpus(root: Path | None = None, max_bytes: int | None = None) -> Corpus:
    """Read the ``.py`` files under `root`, by default the standard library's folder.

    Files come in the order of the hashes of their paths, so that any first part of them is a fair
    sample. The first in 20 are held out.

    Parameters
    ----------
    root : folder to read.
    max_bytes : stop when this much is read.

    Raises
    ------
    DataError
        Too few sources: some distributions ship the standard library compiled.

    Examples
    --------
    >>> import asyncio, pathlib
    >>> read_corpus(pathlib.Path(asyncio.__file__).parent, max_bytes=200_000).bytes >= 200_000
    True
    """
    folder = Path(sysconfig.get_paths()["stdlib"]) if root is None else root
    digest = hashlib.sha256(str(FORMAT).encode())
    texts: list[str] = []
    n_bytes = 0
    for name, path in sorted(_sources(folder)):
        content = path.read_bytes()
        try:
            texts.append(content.decode())
        except UnicodeDecodeError:
            continue  # a few of CPython's tests are broken on purpose
        digest.update(name + hashlib.sha256(content).digest())
        n_bytes += len(content)
        if max_bytes is not None and n_bytes >= max_bytes:
            break
    if len(texts) < 2:
        raise DataError(
            f"The corpus needs Python sources to train on and to hold out, but {folder} has "
            f"{len(texts)} of them. Pass `root`, a folder with more."
        )
    n_heldout = max(1, len(texts) // _FILES_PER_HELD_OUT)
    return Corpus(
        tuple(texts[n_heldout:]), tuple(texts[:n_heldout]), n_bytes, digest.hexdigest()[:16]
    )


def _sources(folder: Path) -> Iterator[tuple[bytes, Path]]:
    """Hash of the path within `folder`, and the path, of every Python file."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name not in _SKIPPED_FOLDERS]
        for name in names:
            if name.endswith(".py"):
                path = Path(place, name)
                yield hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest(), path


def tokenise(corpus: Corpus, vocab: int, progress: Progress = silent) -> Tokens:
    """Byte-pair tokens of a corpus, with merges learnt from its training part.

    The result is cached in ``<cache_dir>/stdlib-lm/tokens-<vocab>-<digest>``.

    Parameters
    ----------
    corpus : what to tokenise.
    vocab : number of tokens, at least 257.
    progress : called with a stage and the share of it that is done.

    Raises
    ------
    ArgumentError
        `vocab` is too small to hold every byte.
    MissingDependencyError
        The package `tokenizers` is not installed.
    """
    if vocab < SMALLEST_VOCAB:
        raise ArgumentError(complaint("vocab", expected=f"at least {SMALLEST_VOCAB}", got=vocab))
    folder = settings.cache_dir() / "stdlib-lm" / f"tokens-{vocab}-{corpus.digest}"
    streams = folder / "tokens.safetensors"
    if not streams.exists():
        tokens = _encode_corpus(corpus, vocab, progress)
        publish(folder, lambda aside: save_file(tokens, aside / streams.name))
    tokens = load_file(streams)
    return Tokens(tokens["train"], tokens["heldout"], vocab)


def _encode_corpus(corpus: Corpus, vocab: int, progress: Progress) -> dict[str, Tensor]:
    tokenizers = require("tokenizers", extra="data", purpose="A byte-pair tokeniser")
    progress("learning byte pairs", 0.0)
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = byte_level(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=[END_OF_FILE],
        initial_alphabet=byte_level.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus.train[::_TOKENIZER_STRIDE], trainer)
    n_files = len(corpus.train) + len(corpus.heldout)
    n_done = 0

    def encode(texts: Sequence[str]) -> Tensor:
        nonlocal n_done
        pieces: list[Tensor] = []
        for start in range(0, len(texts), _FILES_PER_BATCH):
            batch = list(texts[start : start + _FILES_PER_BATCH])
            for encoding in tokenizer.encode_batch_fast(batch):
                pieces.append(torch.tensor([*encoding.ids, 0], dtype=torch.int32))
            n_done += len(batch)
            progress("tokenising", n_done / n_files)
        return torch.cat(pieces)

    return {"train": encode(corpus.train), "heldout": encode(corpus.heldout)}
