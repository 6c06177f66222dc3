"""Make the toy an operator of this process, as if its folder lay in onetrip/ops."""

from pathlib import Path

import onetrip
import onetrip.ops
from onetrip.core import operators

TOYS = Path(__file__).resolve().parent / "ops"


def install():
    onetrip.ops.__path__.append(str(TOYS))
    onetrip._PUBLIC["toy"] = "onetrip.ops.toy.api"
    real = operators.operator_names
    operators.operator_names = lambda: (*real(), "toy")
    operators.operator_module.cache_clear()

    def uninstall():
        onetrip.ops.__path__.remove(str(TOYS))
        del onetrip._PUBLIC["toy"]
        onetrip.__dict__.pop("toy", None)
        operators.operator_names = real
        operators.operator_module.cache_clear()

    return uninstall
