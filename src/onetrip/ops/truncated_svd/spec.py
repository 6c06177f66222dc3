"""What is true of truncated_svd whatever implementation runs it."""

from onetrip.core.spec import DEFAULT_FLOOR, ErrorBudget, OperatorSpec, TensorSpec

_FLOATS = ("float32", "float16", "bfloat16", "float64")
_RESULTS = ("float32", "float64")

SPEC = OperatorSpec(
    name="truncated_svd",
    summary="Largest singular values and right singular vectors, without a centred copy of x.",
    axes={
        "N": "samples",
        "D": "features",
        "K": "components: at most min(N, D) are returned",
    },
    inputs=(TensorSpec("x", ("N", "D"), _FLOATS),),
    outputs=(
        TensorSpec("singular_values", ("K",), _RESULTS),
        TensorSpec("components", ("K", "D"), _RESULTS, vectors_of="singular_values"),
        TensorSpec("mean", ("D",), _RESULTS),
        TensorSpec("total_variance", (), _RESULTS),
        TensorSpec("residual", (), _RESULTS),
    ),
    implementations=("reference", "torch", "triton"),
    budget=ErrorBudget(
        factor=4.0,
        reason="The Gram matrix is summed in float64 and corrected where that is not enough, or "
        "from halves to 2^-22 of each singular value where its vectors show that to hold: plain "
        "torch's own error is larger. Vectors of equal singular values are arbitrary, here and in "
        "plain torch. In float64 there is no plain torch to compare with: vectors of a Gram matrix "
        "turn by its rounding over the gaps of its values, a hundred units in the last place here.",
        floor={**DEFAULT_FLOOR, "float64": 2.0**-40},
    ),
    differentiable=False,
    sources=(
        "sklearn.decomposition.TruncatedSVD and PCA (scikit-learn 1.9): names and meaning",
        "Halko, Martinsson, Tropp, arXiv 0909.4061: randomized solver",
        "Yamamoto et al., ETNA 44 (2015): CholeskyQR2, the correction of the Gram matrix",
    ),
    words={"N": "n_samples", "D": "n_features", "K": "n_components"},
    estimators=("TruncatedSVD", "PCA", "IncrementalPCA"),
)
