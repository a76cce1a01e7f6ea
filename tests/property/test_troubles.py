"""However troubles come and go, nobody is flooded, and nobody is left believing what is not so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from warning.domain.troubles import REMIND_AFTER, StandingTrouble, Trouble, TroubleKind, weigh_troubles

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
DAY = timedelta(hours=24)
KINDS = (TroubleKind.DISK_LOW, TroubleKind.CLOCK, TroubleKind.RESTARTED)
looks = st.lists(
    st.tuples(st.integers(1, 600), st.frozensets(st.sampled_from(KINDS))), min_size=1, max_size=60
)


def told(steps: list[tuple[int, frozenset[TroubleKind]]]) -> list[tuple[datetime, TroubleKind, str]]:
    """Look at every step as the daemon does; return what was told, and check what people believe."""
    at, known, ended = NOW, (), ()
    messages: list[tuple[datetime, TroubleKind, str]] = []
    believed: set[TroubleKind] = set()
    for minutes, kinds in steps:
        at += timedelta(minutes=minutes)
        before: tuple[StandingTrouble, ...] = (*known, *ended)
        news = weigh_troubles((Trouble(kind, "key", "…") for kind in kinds), before, at)
        for how, group in (("new", news.fresh), ("still", news.reminded), ("over", news.over)):
            messages += [(at, s.trouble.kind, how) for s in group]
        believed |= {s.trouble.kind for s in news.fresh}
        believed -= {s.trouble.kind for s in news.kept if s.ended_at is not None}
        assert kinds <= believed, "what stands, people were told of and were not told that it is over"
        known, ended = news.standing, (*ended, *(s for s in news.kept if s.ended_at is not None))
    return messages


@settings(deadline=None)
@given(looks)
def test_nothing_is_told_more_often_than_the_rule_allows(
    steps: list[tuple[int, frozenset[TroubleKind]]],
) -> None:
    messages = told(steps)
    for kind in KINDS:
        stands = [at for at, of, how in messages if of is kind and how != "over"]
        ends = [at for at, of, how in messages if of is kind and how == "over"]
        for first, third in zip(stands, stands[2:], strict=False):
            assert third - first >= DAY, "that it stands is told at most twice in a day"
        for first, third in zip(ends, ends[2:], strict=False):
            assert third - first >= DAY, "that it is over, too"
        assert not ends or kind is not TroubleKind.RESTARTED


@settings(deadline=None)
@given(looks)
def test_what_always_stands_is_told_once_a_day(steps: list[tuple[int, frozenset[TroubleKind]]]) -> None:
    stands = [at for at, _, _ in told([(minutes, frozenset({KINDS[0]})) for minutes, _ in steps])]
    for earlier, later in pairwise(stands):
        assert later - earlier >= REMIND_AFTER
