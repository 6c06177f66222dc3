"""What is true of tsne whatever implementation runs it."""

from onetrip.core.spec import ErrorBudget, OperatorSpec, TensorSpec

_FLOATS = ("float32", "float16", "bfloat16", "float64")
_RESULTS = ("float32", "float64")

SPEC = OperatorSpec(
    name="tsne",
    summary="Exact t-SNE: every pair counts in every iteration, and no [N, N] matrix is needed.",
    axes={
        "N": "samples; the embedding has a row for each, of `n_components` numbers",
        "D": "features",
    },
    inputs=(TensorSpec("x", ("N", "D"), _FLOATS),),
    outputs=(
        TensorSpec("embedding", ("N",), _RESULTS),
        TensorSpec("kl_divergence", (), _RESULTS),
        TensorSpec("n_iter", (), ("int64",)),
    ),
    implementations=("reference", "torch", "triton"),
    budget=ErrorBudget(
        factor=16.0,
        reason="Each iteration multiplies the rounding errors of the one before, and a gain "
        "jumps where a gradient changes its sign by rounding. Plain torch suffers from both "
        "alike, but from its own draw of them; workloads are a few iterations long. The ratio of "
        "two such errors was measured up to 9.",
    ),
    differentiable=False,
    sources=(
        "sklearn.manifold.TSNE(method='exact') (scikit-learn 1.9): schedule, names and meaning",
        "van der Maaten and Hinton, JMLR 9 (2008)",
        "Belkina et al., Nature Communications 10 (2019): learning rate",
    ),
    notes="The number of components is an option, not an axis: the pairs decide the cost.",
    words={"N": "n_samples", "D": "n_features"},
    estimators=("TSNE",),
)
