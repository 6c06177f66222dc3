"""What is true of k-means whatever implementation runs it."""

from onetrip.core.spec import ErrorBudget, OperatorSpec, TensorSpec

_FLOATS = ("float32", "float16", "bfloat16", "float64")

SPEC = OperatorSpec(
    name="kmeans",
    summary="Lloyd's k-means from a given start, never holding the [N, K] distances.",
    axes={"N": "samples", "D": "features of a sample", "K": "clusters"},
    inputs=(
        TensorSpec("x", ("N", "D"), _FLOATS),
        TensorSpec("centers", ("K", "D"), _FLOATS),
        TensorSpec("sample_weight", ("N",), ("float32", "float64"), optional=True),
    ),
    outputs=(
        TensorSpec("centers", ("K", "D"), ("float32", "float64")),
        TensorSpec("labels", ("N",), ("int32",)),
        TensorSpec("inertia", (), ("float64",)),
        TensorSpec("n_iter", (), ("int64",)),
    ),
    implementations=("reference", "torch", "triton", "gluon"),
    budget=ErrorBudget(
        factor=4.0,
        reason="Sums are exact on a grid of 2^-51 of their bound and centres are rounded once; "
        "plain torch adds in order. Inertia sums squares of differences that are rounded to "
        "float32, which plain torch on a handful of rows may round the lucky way.",
        floor={"float64": 2.0**-24, "float32": 2.0**-21, "float16": 2.0**-10, "bfloat16": 2.0**-7},
    ),
    differentiable=False,
    sources=(
        "Lloyd, Least squares quantization in PCM, IEEE Trans. Inf. Theory 28 (1982)",
        "scikit-learn 1.9, sklearn.cluster.KMeans: tolerance, relocation, labels that match",
        "Hamerly, Making k-means even faster, SDM 2010: rows that cannot change",
        "Arthur and Vassilvitskii, k-means++, SODA 2007: the start",
    ),
    words={"N": "n_samples", "D": "n_features", "K": "n_clusters"},
    estimators=("KMeans", "MiniBatchKMeans"),
)
