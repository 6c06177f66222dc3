"""Greedy decoding of a small causal language model, as a function of how it is done.

Run as a script it compares two ways and prints what it found.
"""

import functools
import time

import torch
from torch import Tensor

PROMPT, NEW, VOCABULARY = 32, 48, 512
WEIGHTS_SEED, DRAFT_SEED = 20, 21

try:
    import transformers
    from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM, StaticCache
except ModuleNotFoundError:
    transformers = None


def run(parameters: dict, seed: int) -> dict[str, float]:
    """Decode one batch of prompts and hold it against the model itself."""
    _require_transformers()
    torch.set_num_threads(parameters["threads"])
    device = parameters.get("device", "cpu")
    generator = torch.Generator().manual_seed(seed)
    shape = (parameters["batch"], PROMPT)
    prompts = torch.randint(0, VOCABULARY, shape, generator=generator).to(device)
    with torch.inference_mode():
        _wait(device)
        begin = time.perf_counter()
        tokens, cache_bytes = decoded(prompts, parameters, device)
        _wait(device)
        seconds = time.perf_counter() - begin
        gaps = logit_gaps(tokens, device)
    return {
        "tokens_per_s": prompts.shape[0] * NEW / seconds,
        "logit_gap": float(gaps.max()),
        "wrong_tokens": float((gaps > 0).sum()),
        "cache_bytes": float(cache_bytes),
    }


def decoded(prompts: Tensor, parameters: dict, device: str) -> tuple[Tensor, int]:
    """Prompts with the new tokens behind them, and the bytes that were kept for them."""
    model = language_model(device, compiled=parameters["compile"])
    if parameters["assistant"] == "none":
        return _generated(model, prompts, parameters, {})
    if parameters["assistant"] == "draft model":
        helped = {"assistant_model": draft_model(device, parameters["guesses"])}
    else:
        helped = {"prompt_lookup_num_tokens": parameters["guesses"]}
    # Assistants guess for one sequence at a time.
    parts = [_generated(model, prompt[None], parameters, helped) for prompt in prompts]
    return torch.cat([tokens for tokens, _ in parts]), max(size for _, size in parts)


def logit_gaps(tokens: Tensor, device: str) -> Tensor:
    """By how much the logit of each new token lies below the best, in float32 without a cache."""
    logits = language_model(device, compiled=False)(tokens, use_cache=False).logits
    logits = logits[:, PROMPT - 1 : -1].float()
    chosen = logits.gather(-1, tokens[:, PROMPT:, None]).squeeze(-1)
    return logits.amax(-1) - chosen


@functools.cache
def language_model(device: str, compiled: bool) -> "LlamaForCausalLM":
    """The model, always of the same weights."""
    model = _model(WEIGHTS_SEED, layers=4, width=128).to(device)
    if compiled:
        model.forward = torch.compile(model.forward)
    return model


@functools.cache
def draft_model(device: str, guesses: int) -> "LlamaForCausalLM":
    """A smaller model that guesses a fixed number of tokens ahead."""
    draft = _model(DRAFT_SEED, layers=1, width=32).to(device)
    draft.generation_config.num_assistant_tokens = guesses
    draft.generation_config.num_assistant_tokens_schedule = "constant"
    draft.generation_config.assistant_confidence_threshold = 0.0
    return draft


def _model(seed: int, layers: int, width: int) -> "LlamaForCausalLM":
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2 * (PROMPT + NEW),
        # Random weights: the larger they are, the clearer is which token is best.
        initializer_range=0.1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config).eval()
    # Every sequence gets as many tokens as it may.
    model.generation_config.eos_token_id = None
    model.generation_config.bos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def _generated(
    model: "LlamaForCausalLM", prompts: Tensor, parameters: dict, helped: dict
) -> tuple[Tensor, int]:
    cache = _cache(model, prompts, parameters)
    kept = {"use_cache": False} if cache is None else {"past_key_values": cache}
    tokens = model.generate(
        prompts,
        attention_mask=torch.ones_like(prompts),
        max_new_tokens=NEW,
        min_new_tokens=NEW,
        do_sample=False,
        **kept,
        **helped,
    )
    return tokens, 0 if cache is None else _bytes_of(cache)


def _cache(
    model: "LlamaForCausalLM", prompts: Tensor, parameters: dict
) -> "DynamicCache | StaticCache | None":
    dtype = getattr(torch, parameters["cache_dtype"])
    if parameters["cache"] == "none":
        return None
    if parameters["cache"] == "static":
        cache = StaticCache(config=model.config, max_cache_len=PROMPT + NEW)
    else:
        cache = DynamicCache(config=model.config)
    if dtype is not torch.float32:
        _narrow(cache, dtype)
    return cache


def _narrow(cache: "DynamicCache | StaticCache", dtype: torch.dtype) -> None:
    """Let a cache keep its keys and values in `dtype`, and hand them out in the model's."""
    update = cache.update

    def narrowed(keys: Tensor, values: Tensor, *place, **more) -> tuple[Tensor, Tensor]:
        kept_keys, kept_values = update(keys.to(dtype), values.to(dtype), *place, **more)
        return kept_keys.to(keys.dtype), kept_values.to(values.dtype)

    cache.update = narrowed


def _bytes_of(cache: "DynamicCache | StaticCache") -> int:
    kept = [part for layer in cache.layers for part in (layer.keys, layer.values)]
    return sum(part.numel() * part.element_size() for part in kept if part is not None)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _require_transformers() -> None:
    if transformers is None:
        raise ModuleNotFoundError(
            "Decoding needs the package `transformers`, which is not installed. Install it with: "
            "pip install 'transformers>=5'"
        )


def main() -> None:
    """Decode in two ways."""
    if transformers is None:
        print("skipped: this example needs transformers (pip install 'transformers>=5')")
        return
    plain = {
        "batch": 4, "cache": "none", "cache_dtype": "float32", "compile": False,
        "assistant": "none", "guesses": 4, "threads": 1,
    }  # fmt: skip
    for parameters in (plain, plain | {"cache": "dynamic"}):
        found = run(parameters, seed=1)
        print(f"cache {parameters['cache']}: {found['tokens_per_s']:.0f} tokens/s, "
              f"logit gap {found['logit_gap']:.2g}")  # fmt: skip


if __name__ == "__main__":
    main()
