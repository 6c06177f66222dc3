"""Problems on which the counts of multinomial naive Bayes are tested and measured."""

from onetrip.core.workload import BENCH, CPU, SMOKE, Workload

WORKLOADS = (
    Workload(
        "ragged",
        {"N": 37, "D": 71, "C": 3},
        "float32",
        SMOKE,
        why="one full and one ragged tile on every axis of the smallest tiles",
    ),
    Workload(
        "weighted",
        {"N": 40, "D": 48, "C": 17},
        "float32",
        SMOKE,
        why="term weights in place of counts, and weights of samples, more classes than a tile",
        optional_inputs=("sample_weight",),
        data="weights",
    ),
    Workload(
        "half",
        {"N": 64, "D": 80, "C": 5},
        "float16",
        CPU,
        why="sums must not be kept in half precision",
        data="weights",
    ),
    Workload(
        "words",
        {"N": 200_000, "D": 5000, "C": 20},
        "float32",
        BENCH,
        why="20 newsgroups' classes over a vocabulary of 5,000 words: 4 GB of counts",
    ),
    Workload(
        "k-mers",
        {"N": 100_000, "D": 8000, "C": 1000},
        "float32",
        BENCH,
        why="protein 3-mers in 1,000 families: as many classes as a product is no longer free for",
    ),
    Workload(
        "words-cpu",
        {"N": 20_000, "D": 2000, "C": 20},
        "float32",
        BENCH,
        why="a laptop's share of it: 160 MB",
    ),
)
