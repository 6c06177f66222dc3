"""Which configurations the toy has. `defect` is never searched: tests set it."""

from onetrip.core import tuning
from onetrip.core.selection import Choice

SIZES = (1, 2, 4, 8, 16)
UNROLLS = (1, 2, 3)
DEFAULT = {"size": 2, "unroll": 1, "defect": 0}


def unsupported_reason(impl, problem, config=None):
    if impl not in ("reference", "torch"):
        return f"{impl} is no implementation of the toy"
    if impl == "torch" and config and config["size"] * config["unroll"] > 32:
        return f"size * unroll is {config['size'] * config['unroll']}, at most 32 can run"
    return None


def default_config(impl, problem):
    asked = tuning.overridden("toy", impl)
    if asked is not None:
        return dict(asked)
    entry = tuning.nearest("toy", problem, impl)
    if entry is not None:
        return dict(entry.config)
    return dict(DEFAULT) if impl == "torch" else {}


def search_space(impl, problem):
    return {"size": SIZES, "unroll": UNROLLS} if impl == "torch" else {}


def workspace_bytes(impl, problem, config):
    if impl == "reference":
        return 4 * problem.axes["N"] * problem.axes["D"]
    return config["size"] << 20


def predict_ms(impl, problem, device, config, backward):
    return 1.0


def choose(problem):
    return Choice("torch", default_config("torch", problem), why="the only one")
