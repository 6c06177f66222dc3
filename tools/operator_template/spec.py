"""What is true of scaled_relu whatever implementation runs it."""

from onetrip.core.spec import ErrorBudget, OperatorSpec, TensorSpec

_FLOATS = ("float32", "float16", "bfloat16")

SPEC = OperatorSpec(
    name="scaled_relu",
    summary="Rectified linear unit of x · scale, reading x once and storing no product.",
    axes={"N": "rows", "D": "features of a row"},
    inputs=(TensorSpec("x", ("N", "D"), _FLOATS, grad=True),),
    outputs=(TensorSpec("y", ("N", "D"), _FLOATS),),
    implementations=("reference", "torch", "triton"),
    budget=ErrorBudget(
        factor=1.0,
        reason="One product, rounded once as in plain torch; the floor covers that rounding "
        "where plain torch happens to be exact.",
    ),
    sources=("torch.relu",),
)
