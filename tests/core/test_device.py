"""Ceilings of devices."""

import json

import pytest

from onetrip.core.device import DEVICES, find_device
from onetrip.core.errors import ArgumentError


@pytest.mark.parametrize("name", sorted(DEVICES))
def test_as_dict_survives_json(name):
    device = DEVICES[name]
    assert json.loads(json.dumps(device.as_dict()))["tflops"] == dict(device.tflops)


def test_unknown_dtype_takes_the_slowest_rate():
    h100 = DEVICES["h100"]
    assert h100.tflops_for("int8") == min(h100.tflops.values())


def test_unknown_device_names_the_known_ones():
    with pytest.raises(ArgumentError, match=r"`device` must be one of .*'h100'.* got 'abacus'"):
        find_device("abacus")
