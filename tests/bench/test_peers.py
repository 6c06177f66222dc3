import pytest
import torch

from onetrip.bench.peers import Peer, find_peers, load_peer, peers_of
from onetrip.core.errors import ArgumentError, UnsupportedError
from onetrip.core.workload import Workload
from onetrip.testing.contract import load_operator

OPERATOR = load_operator("linear_cross_entropy")
AXES = {"N": 24, "D": 16, "V": 40}


def workload(*optional_inputs, **options):
    tags = frozenset({"cpu"})
    return Workload("w", AXES, "float32", tags, "", options, optional_inputs)


def inputs_of(made):
    return OPERATOR.make_inputs(
        AXES, dtype=torch.float32, optional_inputs=made.optional_inputs, seed=1
    )


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(workload(), id="plain"),
        pytest.param(workload(reduction="sum", ignore_index=-100), id="sum"),
        pytest.param(workload("linear_bias", "weight"), id="weights"),
        pytest.param(workload(label_smoothing=0.1), id="smooth"),
    ],
)
@pytest.mark.parametrize("name", ["eager", "torch-chunked"])
def test_peers_of_torch_compute_what_we_do(name, made):
    (peer,) = find_peers("linear_cross_entropy", (name,))
    if name == "torch-chunked" and not hasattr(torch.nn.functional, "linear_cross_entropy"):
        pytest.skip("this torch has no linear_cross_entropy")
    if not made.options.keys() <= peer.understands:
        pytest.skip(f"{name} does not take all of {sorted(made.options)}")
    inputs = inputs_of(made)
    expected = OPERATOR.reference(**inputs, **made.options)
    torch.testing.assert_close(load_peer(peer, made)(**inputs), expected, rtol=1e-4, atol=1e-4)


def test_eager_caps_and_scales_logits():
    made = workload(softcap=2.0, logit_scale=3.0)
    (peer,) = find_peers("linear_cross_entropy", ("eager",))
    inputs = inputs_of(made)
    expected = OPERATOR.reference(**inputs, **made.options)
    torch.testing.assert_close(load_peer(peer, made)(**inputs), expected)


@pytest.mark.parametrize("peer", peers_of("linear_cross_entropy"), ids=lambda peer: peer.name)
def test_an_option_that_a_peer_lacks_is_refused_by_name(peer):
    with pytest.raises(UnsupportedError, match=rf"{peer.name} has no aux, token_weight\."):
        load_peer(peer, workload("token_weight", aux=("lse",)))


@pytest.mark.parametrize("peer", peers_of("linear_cross_entropy"), ids=lambda peer: peer.name)
def test_a_peer_that_is_not_installed_names_the_command(peer):
    if not peer.package or peer.version:
        pytest.skip("it is installed")
    with pytest.raises(UnsupportedError, match=f"pip install {peer.package}"):
        load_peer(peer, workload())


def test_unknown_peers_are_refused_with_the_known_names():
    with pytest.raises(ArgumentError, match=r"`against` must be one of \['eager', .* got 'lger'"):
        find_peers("linear_cross_entropy", ("lger",))


def test_names_are_unique_and_operators_without_a_file_have_none():
    names = [peer.name for peer in peers_of("linear_cross_entropy")]
    assert len(names) == len(set(names))
    assert peers_of("no_such_operator") == ()


def test_versions_are_the_packages():
    assert Peer("a", "", lambda options: torch.add).version.startswith(torch.__version__[:4])
    assert Peer("a", "", lambda options: torch.add, package="no-such-package").version == ""
