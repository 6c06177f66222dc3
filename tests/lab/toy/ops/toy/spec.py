"""What is true of the toy."""

from onetrip.core.spec import ErrorBudget, OperatorSpec, TensorSpec

SPEC = OperatorSpec(
    name="toy",
    summary="y = 2 x².",
    axes={"N": "rows", "D": "columns"},
    inputs=(TensorSpec("x", ("N", "D"), ("float32",), grad=True),),
    outputs=(TensorSpec("y", ("N", "D"), ("float32",)),),
    implementations=("reference", "torch"),
    budget=ErrorBudget(1.0, "two roundings, as plain torch has"),
)
