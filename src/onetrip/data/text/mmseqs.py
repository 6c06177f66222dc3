"""MMseqs2, where it is installed: clusters of similar sequences in linear time."""

import errno
import os
import shutil
import subprocess
from collections import deque
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from onetrip.core.errors import DataError, MissingDependencyError

_NAMES = ("representative", "member")
_LAST_LINES = 12
# Its messages about a full disk differ by module; what it wrote is still there when it ends.
_FULL_BYTES = 1 << 20


def find_mmseqs(program: str = "mmseqs") -> str:
    """Path of the program; raises MissingDependencyError where it is not."""
    found = shutil.which(program)
    if found is None:
        raise MissingDependencyError(
            f"`{program}` is not on PATH. Install MMseqs2 (Debian: apt-get install mmseqs2; conda: "
            "bioconda::mmseqs2), or leave the step `linclust` out of the recipe."
        )
    return found


def linclust(
    program: str,
    fasta: Path,
    scratch: Path,
    *,
    identity: float,
    coverage: float,
    kmers: int,
    memory_bytes: int,
    threads: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Cluster the records of `fasta`, whose names are numbers.

    Returns
    -------
    Two ndarrays [N], int64: of each record, the number of its cluster's representative and its own.
    """
    command = [
        find_mmseqs(program),
        "easy-linclust",
        str(fasta),
        str(scratch / "found"),
        str(scratch / "work"),
        *("--min-seq-id", str(identity), "-c", str(coverage), "--cov-mode", "1"),
        *("--kmer-per-seq", str(kmers), "--threads", str(threads)),
        *("--split-memory-limit", f"{max(1, memory_bytes >> 20)}M"),
    ]
    log = scratch / "mmseqs.log"
    with log.open("wb") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, check=False)
    if code.returncode:
        if shutil.disk_usage(scratch).free < _FULL_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(scratch))
        with log.open(errors="replace") as file:
            said = "".join(deque(file, _LAST_LINES))
        raise DataError(f"`{' '.join(command)}` ended with {code.returncode}:\n{said}")
    table = csv.read_csv(
        scratch / "found_cluster.tsv",
        read_options=csv.ReadOptions(column_names=_NAMES, use_threads=False),
        parse_options=csv.ParseOptions(delimiter="\t"),
        convert_options=csv.ConvertOptions(column_types=dict.fromkeys(_NAMES, pa.int64())),
    )
    representative, member = (table[name].to_numpy() for name in _NAMES)
    return representative, member
