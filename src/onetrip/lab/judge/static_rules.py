"""What a candidate's text looks like. A rule only labels: what it does decides."""

import ast
from collections.abc import Callable, Iterator

from onetrip.lab.verdict import Flag

Rule = Callable[[ast.AST], str]

_CLOCKS = frozenset({"perf_counter", "perf_counter_ns", "time_ns", "elapsed_time", "process_time"})
_SEARCH = frozenset({"get_objects", "get_referrers", "_getframe", "currentframe", "stack"})
_RUN_TEXT = frozenset({"exec", "eval", "compile", "__import__"})
_OUTSIDE = frozenset({
    "ctypes", "socket", "subprocess", "urllib", "requests", "http", "signal", "atexit", "mmap",
    "multiprocessing", "pickle", "gc", "inspect",
})  # fmt: skip
_THREADS = frozenset({"Thread", "ThreadPoolExecutor", "Stream", "fork", "Process"})
_VENDOR = frozenset({
    "matmul", "mm", "bmm", "addmm", "linear", "einsum", "softmax", "log_softmax", "layer_norm",
    "cross_entropy", "scaled_dot_product_attention",
})  # fmt: skip


def static_flags(source: str) -> tuple[Flag, ...]:
    r"""Labels for who reads a candidate's text; at most one for each rule.

    >>> [flag.rule for flag in static_flags("import gc\nprint(gc.get_objects())")]
    ['searches the process', 'reaches outside torch']
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        for rule, seen in _seen(node):
            line = getattr(node, "lineno", 0)
            found.setdefault(rule, f"line {line}: {seen}")
    return tuple(
        Flag(rule, evidence, "static") for rule, evidence in sorted(found.items(), key=_key)
    )


def _key(entry: tuple[str, str]) -> int:
    return _ORDER.index(entry[0])


_ORDER = [
    "touches clocks",
    "searches the process",
    "runs text as code",
    "reaches outside torch",
    "starts threads or streams",
    "keys on addresses",
    "subclasses Tensor",
    "changes attributes of modules",
    "falls back on errors",
    "calls the vendor's operator",
]


def _seen(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        for name in _imported(node):
            if name.partition(".")[0] in _OUTSIDE:
                yield "reaches outside torch", name
    if isinstance(node, ast.Attribute | ast.Name):
        yield from _seen_name(node.attr if isinstance(node, ast.Attribute) else node.id)
    if isinstance(node, ast.ClassDef):
        for base in node.bases:
            if ast.unparse(base) in ("torch.Tensor", "Tensor"):
                yield "subclasses Tensor", node.name
    if isinstance(node, ast.Assign):
        for target in node.targets:
            text = ast.unparse(target)
            if isinstance(target, ast.Attribute) and text.startswith(("torch.", "time.", "sys.")):
                yield "changes attributes of modules", text
    if isinstance(node, ast.Try) and any("return" in ast.unparse(h) for h in node.handlers):
        yield "falls back on errors", "an exception handler returns a result"


def _seen_name(name: str) -> Iterator[tuple[str, str]]:
    rules = {
        "touches clocks": _CLOCKS,
        "searches the process": _SEARCH,
        "runs text as code": _RUN_TEXT,
        "starts threads or streams": _THREADS,
        "keys on addresses": frozenset({"data_ptr", "_version", "_make_subclass"}),
        "calls the vendor's operator": _VENDOR,
    }
    for rule, names in rules.items():
        if name in names:
            yield rule, name


def _imported(node: ast.Import | ast.ImportFrom) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [node.module or ""]
    return [alias.name for alias in node.names]
