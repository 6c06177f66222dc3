"""What is true of linear cross entropy whatever implementation runs it."""

from onetrip.core.spec import ErrorBudget, OperatorSpec, TensorSpec

_FLOATS = ("float32", "float16", "bfloat16")

SPEC = OperatorSpec(
    name="linear_cross_entropy",
    summary="Cross entropy of input @ linear_weight.T, without ever holding the [N, V] logits.",
    axes={
        "N": "tokens: the product of all leading axes of `input`",
        "D": "features of a hidden state",
        "V": "classes: the vocabulary",
    },
    inputs=(
        TensorSpec("input", ("N", "D"), _FLOATS, grad=True),
        TensorSpec("linear_weight", ("V", "D"), _FLOATS, grad=True),
        TensorSpec("target", ("N",), ("int64", "int32")),
        TensorSpec("linear_bias", ("V",), _FLOATS, grad=True, optional=True),
        TensorSpec("weight", ("V",), ("float32",), optional=True),
        TensorSpec("token_weight", ("N",), ("float32",), grad=True, optional=True),
    ),
    outputs=(
        TensorSpec("loss", (), ("float32",)),
        TensorSpec("logprob", ("N",), ("float32",), optional=True),
        TensorSpec("lse", ("N",), ("float32",), optional=True),
        TensorSpec("entropy", ("N",), ("float32",), optional=True),
        TensorSpec("argmax", ("N",), ("int64",), optional=True),
    ),
    implementations=("reference", "torch", "triton", "gluon"),
    budget=ErrorBudget(
        factor=4.0,
        reason="In half precision the logits stay in float32 where plain torch rounds them, so the "
        "error is below plain torch's own. In float32 both round sums of D products, in another "
        "order: with a common offset of 300 on all logits that rounding is most of the error, and "
        "the ratio of two such errors was measured up to 2.9.",
    ),
    sources=(
        "torch.nn.functional.linear_cross_entropy (PyTorch 2.13): names and meaning",
        "Wijmans et al., Cut Your Losses in Large-Vocabulary Language Models, arXiv 2411.09009",
        "Gemma 2, arXiv 2408.00118: soft-capped logits",
        "Chowdhery et al., PaLM, arXiv 2204.02311: z-loss",
    ),
)
