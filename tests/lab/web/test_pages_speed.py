"""A lab of 1,000 experiments stays quick. Bounds are for a busy machine; idle it is a fifth."""

import time

import pytest

# What a reader is promised on an idle machine: 300 ms and 200 ms.
FIRST_PAGE_S = 0.3
FILTER_S = 0.2
# Other tests run beside this one.
BUSY = 4


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    import sys
    from pathlib import Path

    tools = str(Path(__file__).parents[3] / "tools")
    if tools not in sys.path:
        sys.path.insert(0, tools)
    from fill_lab import fill

    path = tmp_path_factory.mktemp("large") / "lab.sqlite"
    fill(path, 1000)
    return path


def seconds(browser, path):
    """The best of five: what the machine did besides is not the page's fault."""
    browser.get(path)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        answer = browser.get(path, headers={"accept": "text/html"})
        times.append(time.perf_counter() - began)
        assert answer.status_code == 200
    return min(times)


@pytest.mark.parametrize(
    ("path", "limit_s"),
    [
        ("/experiments", FIRST_PAGE_S),
        ("/experiments?q=state%3Adone+ratio%3A%3E1.1&order=-peer", FILTER_S),
        ("/experiments?q=problem%3Arow_softmax+step", FILTER_S),
        ("/hypotheses", FIRST_PAGE_S),
        ("/graph", FIRST_PAGE_S),
        ("/results?problem=1", FIRST_PAGE_S),
        ("/problems/1", FIRST_PAGE_S),
        ("/experiments/500", FIRST_PAGE_S),
    ],
)
def test_page_is_quick(make_page, path, limit_s):
    taken_s = seconds(make_page().browser(), path)
    print(f"{path}: {taken_s * 1000:.0f} ms")
    assert taken_s < limit_s * BUSY
