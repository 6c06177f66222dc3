"""What is true of kneighbors whatever implementation runs it."""

from onetrip.core.spec import ErrorBudget, OperatorSpec, TensorSpec

_FLOATS = ("float32", "float64", "float16", "bfloat16")

SPEC = OperatorSpec(
    name="kneighbors",
    summary="The K nearest corpus rows of every query, exact, without storing [Q, N] distances.",
    axes={
        "Q": "queries",
        "N": "rows of the corpus",
        "D": "features of a row",
        "K": "neighbours of a query",
    },
    inputs=(
        TensorSpec("queries", ("Q", "D"), _FLOATS),
        TensorSpec("corpus", ("N", "D"), _FLOATS),
    ),
    outputs=(
        TensorSpec("distances", ("Q", "K"), ("float32", "float64")),
        TensorSpec("indices", ("Q", "K"), ("int64",)),
    ),
    implementations=("reference", "torch", "triton"),
    budget=ErrorBudget(
        factor=1.0,
        reason="Distances are formed exactly, in float64 and from differences, and rounded once; "
        "plain torch sums them in the working dtype. Indices must be those of float64.",
    ),
    differentiable=False,
    sources=(
        "sklearn.neighbors.NearestNeighbors: names and meaning",
        "Higham, Accuracy and Stability of Numerical Algorithms, section 3.1: the error bound",
        "Johnson, Douze, Jégou, Billion-scale similarity search with GPUs, arXiv 1702.08734",
    ),
    words={"Q": "n_queries", "N": "n_samples", "D": "n_features", "K": "n_neighbors"},
    estimators=("NearestNeighbors", "KNeighborsClassifier", "KNeighborsRegressor"),
)
