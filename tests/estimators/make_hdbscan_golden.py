"""Write hdbscan_golden.json: what the hdbscan library answers (made with 0.8.44).

pip install hdbscan; python tests/estimators/make_hdbscan_golden.py
"""

import json
import warnings
from pathlib import Path

import hdbscan  # pyright: ignore[reportMissingImports]
from hdbscan_data import MIN_CLUSTER_SIZE, MIN_SAMPLES, options, samples

DIGITS = "-0123456789abcdefghijklmnopqrstuvwxyz"
SCORED = ("moons", "blobs-16", "duplicates")


def main() -> None:
    """Labels, one character a sample; outlier scores and persistence of three data sets."""
    warnings.simplefilter("ignore")
    golden = {"labels": {}, "outlier_scores": {}, "persistence": {}, "probabilities": {}}
    for name, X in samples().items():
        for option, parameters in options(X).items():
            model = hdbscan.HDBSCAN(
                min_cluster_size=MIN_CLUSTER_SIZE,
                min_samples=MIN_SAMPLES - 1,
                algorithm="prims_kdtree",
                **parameters,
            ).fit(X)
            text = "".join(DIGITS[label + 1] for label in model.labels_)
            golden["labels"].setdefault(name, {})[option] = text
            if option == "eom" and name in SCORED:
                golden["outlier_scores"][name] = model.outlier_scores_.round(6).tolist()
                golden["probabilities"][name] = model.probabilities_.round(6).tolist()
                golden["persistence"][name] = model.cluster_persistence_.round(6).tolist()
    path = Path(__file__).with_name("hdbscan_golden.json")
    path.write_text(json.dumps(golden) + "\n", "utf-8")


if __name__ == "__main__":
    main()
