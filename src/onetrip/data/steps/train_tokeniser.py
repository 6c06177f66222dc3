"""A byte-pair vocabulary is learnt from training rows alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from onetrip.core.errors import ArgumentError, DataError, complaint, require
from onetrip.core.units import bytes_text
from onetrip.data.step import Context, LearnStep, Stream
from onetrip.data.text.columns import require_chain_columns, require_columns
from onetrip.data.text.hashing import hash_strings
from onetrip.data.text.region_text import chain_texts, text_columns
from onetrip.data.text.residues import RESIDUES, SPECIALS, UNKNOWN_RESIDUE
from onetrip.data.text.sampling import SmallestHashes, column_names, rows_of_split

ARTIFACT = "tokenizer.json"
# What the trainer was seen to hold for a chain of 120 residues.
_BYTES_PER_CHAIN = 10_000
_SEED = 0xB9E
_LEAST = len(SPECIALS) + len(RESIDUES) + len(UNKNOWN_RESIDUE)
_MOST = 65_536


@dataclass(frozen=True)
class TrainTokeniser(LearnStep):
    """Train a byte-pair tokeniser on a sample of distinct chains of the training split.

    The sample is the chains with the smallest hashes: it does not depend on the order of rows, and
    changes little when rows come. The artifact ``tokenizer.json`` is Hugging Face's format;
    `transformers.PreTrainedTokenizerFast` opens it. Its first ids are those of `tokenise`.

    Parameters
    ----------
    vocabulary : tokens, specials and single residues among them.
    sample : chains to learn from; the trainer takes about 10 kB of memory for each.
    max_token_length : residues of the longest token: without a bound, whole frameworks of germline
        genes become tokens.
    regions : no token spans two IMGT regions, where a row has them.
    """

    vocabulary: int = 1_000
    sample: int = 50_000
    max_token_length: int = 12
    regions: bool = True

    name: ClassVar[str] = "train_tokeniser"
    version: ClassVar[int] = 1
    summary: ClassVar[str] = "learn a byte-pair vocabulary from training rows"
    reads: ClassVar[tuple[str, ...]] = ("split",)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained."""
        if not _LEAST <= self.vocabulary <= _MOST:
            expected = f"{_LEAST} to {_MOST:,}, so that ids fit 16 bits"
            raise ArgumentError(complaint("vocabulary", expected=expected, got=self.vocabulary))
        for name in ("sample", "max_token_length"):
            if getattr(self, name) < 1:
                got = getattr(self, name)
                raise ArgumentError(complaint(name, expected="at least 1", got=got))

    def schema(self, upstream: pa.Schema) -> pa.Schema:
        """What comes in goes out."""
        require_columns(self.name, upstream, *self.reads)
        require_chain_columns(self.name, upstream, "sequence_aa")
        return upstream

    def learn(self, stream: Stream, context: Context) -> Mapping[str, bytes]:
        """Sample, train, and hand over ``tokenizer.json``."""
        needed = self.sample * _BYTES_PER_CHAIN
        if needed > context.memory_bytes:
            expected = f"at most {context.memory_bytes // _BYTES_PER_CHAIN:,} within this memory"
            way_out = f"{self.sample:,} chains take about {bytes_text(needed)}; give more --memory."
            raise ArgumentError(
                complaint("sample", expected=expected, got=f"{self.sample:,}", way_out=way_out)
            )
        texts = self._sampled(stream)
        if not texts:
            raise DataError("There is no training row to learn a tokeniser from.")
        return {ARTIFACT: self._trained(texts).encode()}

    def _sampled(self, stream: Stream) -> list[str]:
        sample = SmallestHashes(self.sample, pa.schema([("text", pa.string())]))
        columns = text_columns(column_names(stream), regions=self.regions)
        for batch in rows_of_split(stream, "train", columns):
            for text in chain_texts(batch, regions=self.regions):
                text = text.drop_null()
                sample.add(hash_strings(text, _SEED), pa.record_batch({"text": text}))
        return sample.rows()["text"].to_pylist()

    def _trained(self, texts: list[str]) -> str:
        tokenizers = require("tokenizers", extra="data", purpose="Training a tokeniser")
        made = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
        if self.regions:
            made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
        made.post_processor = tokenizers.processors.TemplateProcessing(
            single="<cls> $A <sep>",
            pair="<cls> $A <sep> $B:1 <sep>:1",
            special_tokens=[(name, SPECIALS.index(name)) for name in ("<cls>", "<sep>")],
        )
        trainer = tokenizers.trainers.BpeTrainer(
            vocab_size=self.vocabulary,
            special_tokens=list(SPECIALS),
            initial_alphabet=[*RESIDUES, UNKNOWN_RESIDUE],
            limit_alphabet=len(RESIDUES) + 1,
            max_token_length=self.max_token_length,
            show_progress=False,
        )
        made.train_from_iterator(texts, trainer, len(texts))
        return made.to_str(pretty=True)
