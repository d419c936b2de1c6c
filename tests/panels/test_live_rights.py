"""Owners of channels, roles that are trusted for a minute, and limits on the number of runs."""

from contextlib import ExitStack

import pytest

from ceems_grpc.domain.errors import QuestionError
from ceems_grpc.domain.questions.model import Viewer
from ceems_grpc.panels.live_rights import BELIEVED, MOST_RUNS, LiveRights

BOSS, ALICE, BOB = Viewer("alice", admin_by_role=True), Viewer("alice"), Viewer("bob")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rights(clock: Clock) -> LiveRights:
    return LiveRights(clock)


def test_a_channel_without_a_key_has_one_owner_for_good(rights: LiveRights) -> None:
    rights.own("a", "stats", ALICE)
    rights.own("a", "stats", BOSS)
    rights.own("b", "stats", BOB)
    with pytest.raises(QuestionError, match="another user") as caught:
        rights.own("a", "stats", BOB)
    assert caught.value.status == 403


def test_the_newest_role_counts(rights: LiveRights) -> None:
    rights.saw("a", BOSS)
    assert rights.present("a", BOSS) == BOSS
    rights.saw("b", ALICE)
    assert rights.present("a", BOSS) == BOSS
    rights.saw("a", ALICE)
    assert rights.present("a", BOSS) == ALICE
    rights.saw("a", BOSS)
    assert rights.present("a", ALICE) == ALICE, "a run never gets more rights than it began with"
    rights.saw("a", None)


def test_a_role_is_believed_for_a_minute_after_the_call_that_confirmed_it(rights: LiveRights, clock: Clock) -> None:
    rights.saw("a", BOSS)
    clock.now += BELIEVED
    assert rights.present("a", BOSS) == BOSS
    rights.saw("a", BOSS)
    clock.now += BELIEVED + 1
    with pytest.raises(QuestionError, match="reload the dashboard") as caught:
        rights.present("a", BOSS)
    assert caught.value.status == 403
    assert rights.present("a", ALICE) == ALICE


def test_runs_do_not_confirm_their_role_by_starting_again(rights: LiveRights, clock: Clock) -> None:
    assert rights.present("a", BOSS) == BOSS  # the plugin was restarted, and Grafana runs the channel again
    clock.now += BELIEVED + 1
    for _ in range(2):
        with pytest.raises(QuestionError):
            rights.present("a", BOSS)


def test_a_user_runs_a_limited_number_of_channels(rights: LiveRights) -> None:
    with ExitStack() as stack:
        for number in range(MOST_RUNS):
            stack.enter_context(rights.running("a", ALICE, f"stats/{number}"))
        with pytest.raises(QuestionError, match="close some live panels") as caught:
            rights.check_number("a", ALICE, "stats/more")
        assert caught.value.status == 503
        with pytest.raises(QuestionError), rights.running("a", ALICE, "stats/more"):
            pass
        rights.check_number("a", ALICE, "stats/1")  # another listener of a running channel
        rights.check_number("a", BOB, "stats/more")
        rights.check_number("b", ALICE, "stats/more")
    rights.check_number("a", ALICE, "stats/more")
    assert not rights._runs
