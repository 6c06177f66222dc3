"""The order of what waits, and the hands that change it."""

import pytest

from onetrip.core.errors import ArgumentError
from onetrip.lab.queue import order, priority


def numbers(lab):
    return [row.experiment_id for row in order.waiting(lab.connection)]


def claimed_in_order(lab):
    found = []
    while claim := lab.claim():
        found.append(claim.experiment_id)
    return found


@pytest.fixture
def five(lab):
    """Five that wait, the first with the highest priority."""
    found = [lab.queue() for _ in range(5)]
    for place, number in enumerate(found):
        lab.connection.execute(
            "UPDATE experiment SET priority = ? WHERE id = ?", (10.0 - place, number)
        )
    return found


def test_what_is_shown_is_what_runs(lab, five):
    a, b, c, d, e = five
    order.pin(lab.connection, d, 1)
    order.pin(lab.connection, e, 2)
    order.pause(lab.connection, b)
    assert numbers(lab) == [e, d, a, c, b]
    assert claimed_in_order(lab) == [e, d, a, c]


def test_a_pin_below_zero_comes_last_and_zero_lets_the_priority_decide(lab, five):
    a, b, c, d, e = five
    order.pin(lab.connection, a, -1)
    assert numbers(lab) == [b, c, d, e, a]
    order.pin(lab.connection, a, 0)
    assert numbers(lab) == five


def test_a_move_lands_where_it_was_dropped(lab, five):
    a, b, c, d, e = five
    order.move(lab.connection, d, b)
    assert numbers(lab) == [a, d, b, c, e]
    order.move(lab.connection, a, e)
    assert numbers(lab) == [d, b, c, a, e]
    order.move(lab.connection, d, None)
    assert numbers(lab) == [b, c, a, e, d]
    order.move(lab.connection, d, b)
    assert numbers(lab) == [d, b, c, a, e]
    order.move(lab.connection, b, None)
    order.move(lab.connection, c, None)
    assert numbers(lab) == [d, a, e, b, c]


def test_a_later_result_does_not_undo_a_move(lab, five):
    first, last = five[0], five[-1]
    order.move(lab.connection, last, first)
    lab.run(lab.won(3.0), source="x = 1\n", proposer="agent:winner")
    lab.queue("x = 2\n", proposer="agent:winner")
    priority.reorder(lab.connection, "a test")
    assert numbers(lab)[0] == last


def test_paused_is_not_claimed_until_it_is_resumed(lab):
    only = lab.queue()
    order.pause(lab.connection, only, by="agent:x")
    assert lab.claim() is None
    assert lab.one("SELECT reason FROM experiment")[0] == "paused by agent:x"
    order.resume(lab.connection, only)
    assert lab.claim().experiment_id == only


def test_cancelled_is_for_ever_and_paused_can_be_cancelled(lab, five):
    order.pause(lab.connection, five[0])
    for number in five:
        order.cancel(lab.connection, number, why="no use")
    assert claimed_in_order(lab) == []
    assert lab.state(five[0]) == "cancelled"
    with pytest.raises(ArgumentError, match="cancelled"):
        order.resume(lab.connection, five[0])


def test_a_question_can_be_put_again(lab):
    only = lab.queue()
    lab.answer(lab.won())
    order.ask_again(lab.connection, only, priority=1.0)
    order.ask_again(lab.connection, only, priority=2.0)
    assert lab.claim().n == 2
    assert lab.one("SELECT priority FROM experiment")[0] == 1.0


def test_every_change_has_its_event(lab, five):
    a, b, *_ = five
    before = len(lab.events())
    order.pin(lab.connection, a, 1)
    order.move(lab.connection, b, a)
    order.pause(lab.connection, a)
    order.resume(lab.connection, a)
    order.cancel(lab.connection, a)
    assert lab.events()[before:] == [
        "experiment.pinned",
        "experiment.moved",
        "experiment.paused",
        "experiment.queued",
        "experiment.cancelled",
    ]


@pytest.mark.parametrize("change", [order.pause, order.resume, order.cancel])
def test_what_ended_cannot_be_changed(lab, change):
    done = lab.run(lab.won())
    with pytest.raises(ArgumentError, match=r"must be .*, got done"):
        change(lab.connection, done)
    with pytest.raises(ArgumentError, match="99"):
        change(lab.connection, 99)


def test_nothing_can_be_put_before_itself(lab):
    only = lab.queue()
    with pytest.raises(ArgumentError, match="another experiment"):
        order.move(lab.connection, only, only)
