"""What is true of hdbscan whatever implementation runs it."""

from onetrip.core.spec import ErrorBudget, OperatorSpec, TensorSpec

_FLOATS = ("float32", "float16", "bfloat16", "float64")
# Half precision in, float32 out: the tree of a rounded matrix is not rounded again.
_WEIGHTS = ("float32", "float64")

SPEC = OperatorSpec(
    name="hdbscan",
    summary="Exact minimum spanning tree of mutual reachability, storing no N × N distances.",
    axes={"N": "points", "D": "features of a point"},
    inputs=(TensorSpec("x", ("N", "D"), _FLOATS),),
    outputs=(
        TensorSpec("weight", ("N",), _WEIGHTS),
        TensorSpec("source", ("N",), ("int64",)),
        TensorSpec("target", ("N",), ("int64",)),
        TensorSpec("core_distance", ("N",), _WEIGHTS),
    ),
    implementations=("reference", "torch", "triton"),
    budget=ErrorBudget(
        factor=2.0,
        reason="Both sum D squared differences, in another order; the integers are exact, because "
        "equal weights are ordered by the numbers of their points.",
    ),
    differentiable=False,
    sources=(
        "Campello, Moulavi, Sander, Density-based clustering based on hierarchical density "
        "estimates, 2013: mutual reachability",
        "sklearn.cluster.HDBSCAN: min_samples counts the point itself",
        "March, Ram, Gray, Fast Euclidean minimum spanning tree, 2010: Borůvka's rounds over "
        "pairs of boxes",
    ),
    notes="weight, source and target have N - 1 entries.",
    words={"N": "n_samples", "D": "n_features"},
    estimators=("HDBSCAN",),
)
