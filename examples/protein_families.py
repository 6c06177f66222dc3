"""Sort protein sequences into families by their k-mers, and draw a map of them.

    python examples/protein_families.py                      # 600 sequences, a few seconds
    python examples/protein_families.py --sequences 20000 --picture families.svg

The sequences are made here: each family has an ancestor, and its members differ from it by
mutations. Counts of pairs of residues (2-mers) are all that the methods see.
"""

import argparse
import time

import numpy as np
from sklearn.metrics import adjusted_rand_score

from onetrip.cluster import HDBSCAN
from onetrip.decomposition import TruncatedSVD
from onetrip.manifold import TSNE
from onetrip.naive_bayes import MultinomialNB
from onetrip.neighbors import KNeighborsClassifier

RESIDUES, LENGTH, MUTATED = 20, 300, 0.35
COMPONENTS, MAPPED = 24, 2000


def make_sequences(count: int, families: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Residues [count, LENGTH] as numbers, and the family of each."""
    random = np.random.default_rng(seed)
    ancestors = random.integers(RESIDUES, size=(families, LENGTH))
    family = random.integers(families, size=count)
    sequences = ancestors[family]
    mutated = random.random(sequences.shape) < MUTATED
    sequences[mutated] = random.integers(RESIDUES, size=mutated.sum())
    return sequences, family


def count_pairs(sequences: np.ndarray) -> np.ndarray:
    """How often each pair of residues stands side by side: uint8 [count, 400]."""
    pairs = sequences[:, :-1] * RESIDUES + sequences[:, 1:]
    counts = np.zeros((len(sequences), RESIDUES**2), dtype=np.uint8)
    np.add.at(counts, (np.arange(len(sequences))[:, None], pairs), 1)
    return counts


def main(count: int, families: int, picture: str | None) -> dict[str, float]:
    """Run the whole chain; return the figures that it prints."""
    sequences, family = make_sequences(count, families)
    counts = count_pairs(sequences)
    trained = np.arange(count) % 5 != 0
    figures: dict[str, float] = {}

    def tell(name: str, value: float, since: float) -> None:
        figures[name] = value
        print(f"{name:34} {value:6.3f}   {time.perf_counter() - since:6.2f} s")

    start = time.perf_counter()
    bayes = MultinomialNB().fit(counts[trained], family[trained])
    tell("naive Bayes, accuracy", bayes.score(counts[~trained], family[~trained]), start)

    start = time.perf_counter()
    svd = TruncatedSVD(n_components=COMPONENTS, random_state=0)
    reduced = svd.fit_transform(counts.astype(np.float32))
    tell("SVD, share of the variance", float(svd.explained_variance_ratio_.sum()), start)

    start = time.perf_counter()
    nearest = KNeighborsClassifier(n_neighbors=5).fit(reduced[trained], family[trained])
    tell("neighbours, accuracy", nearest.score(reduced[~trained], family[~trained]), start)

    start = time.perf_counter()
    clusters = HDBSCAN(min_cluster_size=10).fit(reduced)
    tell("HDBSCAN, agreement with families", adjusted_rand_score(family, clusters.labels_), start)

    start = time.perf_counter()
    shown = slice(0, min(count, MAPPED))
    tsne = TSNE(perplexity=15, max_iter=300, random_state=0)
    points = tsne.fit_transform(reduced[shown])
    tell("t-SNE, divergence", tsne.kl_divergence_, start)

    if picture is not None:
        import onetrip.plot

        axes = onetrip.plot.embedding(points, clusters.labels_[shown])
        axes.set_title(f"{families} families of sequences, clusters by HDBSCAN")
        axes.figure.savefig(picture)
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sequences", type=int, default=600)
    parser.add_argument("--families", type=int, default=8)
    parser.add_argument("--picture", help="file to draw the map into")
    options = parser.parse_args()
    main(options.sequences, options.families, options.picture)
