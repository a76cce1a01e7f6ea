"""What is wrong with the service itself, and when people are told of it, reminded, and told that it is over.

A trouble is told at once. While it stands it is told again once a day. That it is over is said when it has
stayed away for `SETTLED_AFTER`; one that comes back before goes on in silence, since nobody was told of its
end. One that comes back within a day of being over is told at once too, and from then on has to stay away
for a whole day: so whatever comes and goes is told at most twice a day, and never taken for mended.

A refused edit comes and goes by hand. Another edit that is refused is told at once, and so is the one that
is accepted: whoever edits waits for that word.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

REMIND_AFTER = timedelta(hours=24)
SETTLED_AFTER = timedelta(hours=1)
SETTLED_AGAIN_AFTER = timedelta(hours=24)
REMEMBERED = timedelta(hours=24)  # for how long after its end a trouble that comes back is the old one
CLOCK_SLACK = timedelta(hours=1)  # an instant further ahead was written by a clock that was wrong


class TroubleKind(StrEnum):
    """What can be wrong with the service, the most pressing first."""

    RECORD_FAILED = "record-failed"
    CYCLE_OVERDUE = "cycle-overdue"
    JOB_HANGS = "job-hangs"
    JOB_FAILED = "job-failed"
    UNDELIVERED = "undelivered"
    SOURCE_OLD = "source-old"
    CYCLE_PARTIAL = "cycle-partial"
    CLOCK = "clock"
    DISK_LOW = "disk-low"
    CONFIGURATION_REFUSED = "configuration-refused"
    CHECK_FAILED = "check-failed"
    MODEL_UNUSABLE = "model-unusable"
    MODEL_OLD = "model-old"
    TRAINING_FAILED = "training-failed"
    WRITE_BACK_FAILED = "write-back-failed"
    HISTORY_BROKEN = "history-broken"
    PING_FAILED = "ping-failed"
    RESTARTED = "restarted"


_RANK = {kind: rank for rank, kind in enumerate(TroubleKind)}
_ENDS_IN_SILENCE = frozenset({TroubleKind.RESTARTED})
_BY_HAND = frozenset({TroubleKind.CONFIGURATION_REFUSED})
_BLINDING = frozenset(
    {
        TroubleKind.RECORD_FAILED,
        TroubleKind.CYCLE_OVERDUE,
        TroubleKind.UNDELIVERED,
        TroubleKind.SOURCE_OLD,
    }
)
_JOB_KINDS = frozenset({TroubleKind.JOB_FAILED, TroubleKind.JOB_HANGS})
_BLINDING_JOBS = frozenset({"cycle", "delivery"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong; `key` tells it from others of its kind (a job's id, a folder).

    `message` stands alone: what was found, what was expected, what to do. `detail` is a figure for the
    subject of a mail ("210 MB free") and is not kept on record.
    """

    kind: TroubleKind
    key: str
    message: str
    detail: str = ""

    @property
    def identity(self) -> tuple[TroubleKind, str]:
        return self.kind, self.key

    @property
    def rank(self) -> tuple[int, str]:
        """The order in which troubles are told."""
        return _RANK[self.kind], self.key

    @property
    def blinds(self) -> bool:
        """Whether dams are not looked at, or warnings do not arrive, while it stands."""
        return self.kind in _BLINDING or (self.kind in _JOB_KINDS and self.key in _BLINDING_JOBS)


@dataclass(frozen=True, slots=True)
class StandingTrouble:
    """A trouble that people were told of, first at `since` and last at `told_at`.

    It has not been found from `gone_since` on, and was over at `ended_at`. `again`: it came back soon
    after it was over.
    """

    trouble: Trouble
    since: datetime
    told_at: datetime
    gone_since: datetime | None = None
    ended_at: datetime | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class TroubleNews:
    """What is to be told now: each the most pressing first.

    `standing` is what stands afterwards, told or not; `kept` also holds what has just ended in silence or
    aloud: all that the record has to write.
    """

    fresh: tuple[StandingTrouble, ...]
    reminded: tuple[StandingTrouble, ...]
    over: tuple[StandingTrouble, ...]
    standing: tuple[StandingTrouble, ...]
    kept: tuple[StandingTrouble, ...]

    @property
    def any(self) -> bool:
        """Whether there is something to tell."""
        return bool(self.fresh or self.reminded or self.over)

    @property
    def blinds(self) -> bool:
        """Whether any of the news is that the watch is blind or dumb, or that it no longer is."""
        return any(s.trouble.blinds for s in (*self.fresh, *self.reminded, *self.over))


def weigh_troubles(
    found: Iterable[Trouble], standing: Iterable[StandingTrouble], now: datetime
) -> TroubleNews:
    """Say what people must be told at `now`, given what was `found` and what they know.

    `standing` are the troubles that have not ended, and those that ended within `REMEMBERED`.
    """
    before = tuple(standing)
    stood = {s.trouble.identity: s for s in before if s.ended_at is None}
    ended = {s.trouble.identity for s in before if _ended_lately(s, now)}
    here: dict[tuple[TroubleKind, str], Trouble] = {}
    for trouble in found:
        here.setdefault(trouble.identity, trouble)
    after: list[StandingTrouble] = []
    fresh: list[StandingTrouble] = []
    reminded: list[StandingTrouble] = []
    over: list[StandingTrouble] = []
    for identity, trouble in here.items():
        known = stood.get(identity)
        if known is None:
            fresh.append(StandingTrouble(trouble, now, now, again=identity in ended))
            after.append(fresh[-1])
        elif _told_lately(known, now) and not _another_edit(known.trouble, trouble):
            after.append(replace(known, trouble=trouble, gone_since=None))
        else:
            reminded.append(replace(known, trouble=trouble, told_at=now, gone_since=None))
            after.append(reminded[-1])
    for identity, known in stood.items():
        if identity not in here:
            after.append(_gone(known, now))
            if after[-1].ended_at is not None and known.trouble.kind not in _ENDS_IN_SILENCE:
                over.append(after[-1])
    return TroubleNews(
        _sorted(fresh),
        _sorted(reminded),
        _sorted(over),
        _sorted(s for s in after if s.ended_at is None),
        _sorted(after),
    )


def _gone(known: StandingTrouble, now: datetime) -> StandingTrouble:
    """What is left of a trouble that was not found: it ends when it has stayed away long enough."""
    gone_since = min(known.gone_since or now, now)  # a clock that was set back counts from here
    settled = SETTLED_AGAIN_AFTER if known.again else SETTLED_AFTER
    if known.trouble.kind in _BY_HAND:
        settled = timedelta(0)
    if now - gone_since >= settled:
        return replace(known, gone_since=gone_since, ended_at=now)
    return replace(known, gone_since=gone_since)


def _another_edit(before: Trouble, now: Trouble) -> bool:
    return now.kind in _BY_HAND and now.message != before.message


def _told_lately(known: StandingTrouble, now: datetime) -> bool:
    return -CLOCK_SLACK <= now - known.told_at < REMIND_AFTER


def _ended_lately(known: StandingTrouble, now: datetime) -> bool:
    return known.ended_at is not None and now - known.ended_at < REMEMBERED


def _sorted(standing: Iterable[StandingTrouble]) -> tuple[StandingTrouble, ...]:
    return tuple(sorted(standing, key=lambda s: s.trouble.rank))
