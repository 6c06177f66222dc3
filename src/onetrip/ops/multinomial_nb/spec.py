"""What is true of the counts of multinomial naive Bayes whatever implementation runs it."""

from types import MappingProxyType

from onetrip.core.spec import ErrorBudget, OperatorSpec, TensorSpec

_NUMBERS = (
    *("float64", "float32", "float16", "bfloat16"),
    *("int64", "int32", "int16", "int8", "uint8"),
)

SPEC = OperatorSpec(
    name="multinomial_nb",
    summary="Sums of features by class, added to earlier sums, reading the samples once.",
    axes={"N": "samples", "D": "features of a sample", "C": "classes"},
    inputs=(
        TensorSpec("x", ("N", "D"), _NUMBERS),
        TensorSpec("y", ("N",), ("int64", "int32")),
        TensorSpec("feature_count", ("C", "D"), ("float64",)),
        TensorSpec("class_count", ("C",), ("float64",)),
        TensorSpec("sample_weight", ("N",), ("float32", "float64"), optional=True),
    ),
    outputs=(
        TensorSpec("feature_count", ("C", "D"), ("float64",)),
        TensorSpec("class_count", ("C",), ("float64",)),
    ),
    implementations=("reference", "torch", "triton"),
    budget=ErrorBudget(
        factor=4.0,
        reason="Plain torch adds all rows of a class in float32, or float64. Here a block of rows "
        "is added in float32 and the blocks in float64: sums of whole numbers are exact below "
        "2^24 a block, others keep the rounding of a block.",
    ),
    differentiable=False,
    sources=(
        "scikit-learn, MultinomialNB: feature_count_, class_count_",
        "Manning, Raghavan, Schütze, Introduction to Information Retrieval, chapter 13",
    ),
    words=MappingProxyType({"N": "n_samples", "D": "n_features", "C": "n_classes"}),
    estimators=("MultinomialNB",),
)
