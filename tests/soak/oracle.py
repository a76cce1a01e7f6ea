"""What must be in the mailboxes, worked out from the gauges' files and the issue alone.

It reads mails as their recipients do and never looks at the program's own judgement. A day counts as known
where nothing kept the program from seeing the day's reading for `SETTLED` before the day is checked.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Protocol

from installation import PEOPLE, Person
from post import HEARTBEAT, NOT_DELIVERED, Mail
from world import SEVERITIES, Dam, Gauge

SETTLED = timedelta(hours=6)  # two polls, two of the longest waits between tries
REMINDED_WITHIN = timedelta(hours=52)  # with the first cycle after 24 hours, and one runs each day at least
STALE_DAYS = 3
FORECAST_DAYS = 10  # for so long a forecast may hold a warning up after the water has gone
RANK = {name: rank for rank, name in enumerate(SEVERITIES, start=1)}
_LOWERED_BY_SMS = re.compile(r", was (EMERGENCY|WARNING|WATCH)\b")
_DIGITS = re.compile(r"\d+")
MOST_A_DAY = 12  # mails about one dam to one address


@dataclass(frozen=True, slots=True)
class Owed:
    """Somebody must hear that a dam reached a severity, or have known it already."""

    person: Person
    address: str
    dam: str
    severity: str
    day: date
    since: datetime


@dataclass(frozen=True, slots=True)
class Step:
    """What one mail said of a dam. One that is on no record has the number of the newest that is."""

    at: datetime
    number: int
    rank: int
    recorded: bool


@dataclass(slots=True)
class Belief:
    """What somebody believes of a dam: after each mail, by the newest alert's number."""

    steps: list[Step] = field(default_factory=list)
    watched: tuple[int, bool] = (0, True)

    def rank_at(self, at: datetime | None = None) -> int:
        return _newest_rank(step for step in self.steps if at is None or step.at <= at)

    def rank_on_record(self) -> int:
        """The rank that stands by what could be recorded alone."""
        return _newest_rank(step for step in self.steps if step.recorded)

    def highest_since(self, since: datetime) -> int:
        return max((step.rank for step in self.steps if step.at >= since), default=0)


def _newest_rank(steps: Iterable[Step]) -> int:
    return max(((step.number, step.rank) for step in steps), default=(0, 0))[1]


class Faults(Protocol):
    """What the harness knows of its own faults, by what they touch: "mail", "down", "source:alder" …"""

    def quiet(self, what: str, span: timedelta) -> bool:
        """Whether nothing has touched it for so long."""
        ...

    def lasting(self, what: str, span: timedelta) -> bool:
        """Whether something has been touching it for so long without a break."""
        ...


class Oracle:
    """Reads every mail once, and checks each day."""

    def __init__(self, violated: Callable[[str], None]) -> None:
        self._violated = violated
        self._beliefs: defaultdict[tuple[str, str], Belief] = defaultdict(Belief)
        self._copies: dict[tuple[str, int], Mail] = {}
        self._owed: list[Owed] = []
        self._calm: Counter[tuple[str, str]] = Counter()
        self._believed_days: Counter[str] = Counter()
        self._high_days: Counter[tuple[str, str]] = Counter()
        self._reminded: dict[tuple[str, str], Mail] = {}
        self._heartbeats: Counter[str] = Counter()
        self._read = 0
        self.counts: Counter[str] = Counter()
        self.subjects: Counter[str] = Counter()

    def read(self, mails: list[Mail], faults: Faults) -> None:
        """Take in what has arrived since the last time."""
        fresh = mails[self._read :]
        self._read = len(mails)
        for mail in fresh:
            self._read_one(mail, faults)
        often = Counter((mail.to, mail.dam or mail.title) for mail in fresh)
        for (to, what), count in often.items():
            if count > MOST_A_DAY * (5 if what == NOT_DELIVERED else 1):
                self._violated(f"{count} mails on {what} to {to} in a day")

    def _read_one(self, mail: Mail, faults: Faults) -> None:
        self.counts["mails"] += 1
        self.subjects[_DIGITS.sub("9", mail.subject)[:110]] += 1
        self.counts[f"mails: {mail.title.lower()}"] += 1
        if mail.title == HEARTBEAT:
            self._heartbeats[mail.to] += 1
        if mail.number is None:
            self._read_unnumbered(mail)
            return
        if self._is_copy(mail) or mail.dam is None:
            return
        belief = self._beliefs[mail.to, mail.dam]
        if mail.title in ("UNWATCHED", "WATCHED AGAIN"):
            belief.watched = max(belief.watched, (mail.number, mail.title == "WATCHED AGAIN"))
        elif mail.title != "FINDING":
            self._check_repetition(mail, belief, faults)
            belief.steps.append(Step(mail.at, mail.number, RANK.get(mail.title.lower(), 0), recorded=True))

    def _read_unnumbered(self, mail: Mail) -> None:
        """Only what could not be recorded has no number; whoever gets it knows all the same."""
        if mail.recorded:
            self._violated(f"a mail without its number: {mail.subject!r} to {mail.to}")
            return
        self.counts["mails: sent directly, unrecorded"] += 1
        if mail.dam is not None and mail.title.lower() in RANK:
            steps = self._beliefs[mail.to, mail.dam].steps
            newest = max((step.number for step in steps), default=0)
            steps.append(Step(mail.at, newest, RANK[mail.title.lower()], recorded=False))

    def _is_copy(self, mail: Mail) -> bool:
        """A copy is allowed only of a mail whose sender could not know that it was taken."""
        key = mail.to, mail.number or 0
        before = self._copies.get(key)
        self._copies[key] = mail
        if before is None:
            return False
        self.counts["copies"] += 1
        if before.sure:
            self._violated(f"alert {mail.number} came twice to {mail.to}: {before.at} and {mail.at}")
        if before.subject != mail.subject:
            self._violated(f"two alerts share number {mail.number}: {before.subject!r}, {mail.subject!r}")
        return True

    def _check_repetition(self, mail: Mail, belief: Belief, faults: Faults) -> None:
        """A raise is news, and reminders are a day apart.

        What was sent directly while nothing could be recorded is raised on record once there is room again.
        """
        stands = belief.rank_on_record()
        told_as_news = not any(
            word in mail.words for word in ("update", "reminder", "lowered", "still stands")
        )
        told_as_news = told_as_news and _LOWERED_BY_SMS.search(mail.subject) is None
        older = any(step.number > (mail.number or 0) for step in belief.steps)
        rank = RANK.get(mail.title.lower(), 0)
        if rank and told_as_news and rank <= stands and not older:
            self._violated(f"raised again while it stands: {mail.subject!r} to {mail.to}")
        if "reminder" in mail.words:
            key = mail.to, mail.dam or ""
            last = self._reminded.get(key)
            self._reminded[key] = mail
            early = last is not None and mail.at - last.at < timedelta(hours=23)
            late_before = ("clock", "mail", f"mail:{mail.to}")  # what may have held up the one before
            if early and all(faults.quiet(what, timedelta(days=2)) for what in late_before):
                self._violated(f"reminded twice within a day: {mail.subject!r} to {mail.to}")

    def check(self, now: datetime, gauges: tuple[Gauge, ...], dams: dict[str, Dam], faults: Faults) -> None:
        """Hold the mailboxes against what the files have said until `now`."""
        for gauge in gauges:
            self._check_dam(now, gauge, dams[gauge.dam.id], faults)
        self._settle(faults)
        self._check_heartbeat(now, faults)

    def _check_heartbeat(self, now: datetime, faults: Faults) -> None:
        """On an undisturbed day exactly one comes to each who looks after the service."""
        day, touching = timedelta(hours=30), ("down", "clock", "disk", "mail", "config")
        for address in (a for p in PEOPLE if p.findings for a in p.addresses):
            came = self._heartbeats[address]
            self._heartbeats[address] = 0
            if came != 1 and all(faults.quiet(what, day) for what in (*touching, f"mail:{address}")):
                self._violated(f"{came} signs of life to {address} in the day up to {now:%Y-%m-%d %H:%M}")

    def _check_dam(self, now: datetime, gauge: Gauge, dam: Dam, faults: Faults) -> None:
        machine = all(faults.quiet(what, SETTLED) for what in ("down", "clock", "disk", f"config:{dam.id}"))
        source = faults.quiet(f"source:{dam.id}", SETTLED)
        newest = max(gauge.rows)
        settled = now - gauge.arrival(newest) >= SETTLED
        fresh = (now.astimezone(dam.zone).date() - newest).days <= 1
        value = gauge.reported_value(newest)
        if machine and not source:
            self._check_unwatched(now, dam, faults)
        if not (machine and source and settled and fresh):
            self._reset(dam)
            if (
                machine
                and source
                and settled
                and (now.astimezone(dam.zone).date() - newest).days > STALE_DAYS
            ):
                self._check_unwatched(now, dam, faults, stale=True)
            return
        self.counts["dam days known"] += 1
        if value is not None:
            self._check_reached(now, gauge, dam, newest, value, faults)
        if newest in gauge.dirty | gauge.mended or value is None:
            self._reset(dam)
        else:
            self._check_calm(now, dam, value, faults)

    def _reset(self, dam: Dam) -> None:
        for severity in SEVERITIES:
            self._calm[dam.id, severity] = 0
            self._high_days[dam.id, severity] = 0
        self._believed_days[dam.id] = 0

    def _check_reached(
        self, now: datetime, gauge: Gauge, dam: Dam, day: date, value: float, faults: Faults
    ) -> None:
        severity = dam.severity_of(value)
        if severity is None:
            return
        self.counts["dam days in flood"] += 1
        for person in PEOPLE:
            if person.refused or not person.watches(dam.id) or RANK[person.least] > RANK[severity]:
                continue
            for address in person.addresses:
                owed = Owed(person, address, dam.id, severity, day, gauge.arrival(day))
                self._owed.append(owed)
                belief = self._beliefs[address, dam.id].rank_at()
                if self._reached(address, faults) and belief < RANK[severity]:
                    self._violated(
                        f"{address} does not know on {now:%Y-%m-%d} that {dam.id} reached {severity}, "
                        f"{value:g} on {day}"
                    )

    def _settle(self, faults: Faults) -> None:
        """Whatever was owed must have come once nothing keeps mails from coming any more."""
        still = []
        for owed in self._owed:
            if not (
                self._reached(owed.address, faults)
                and faults.quiet("down", SETTLED)
                and faults.quiet("disk", SETTLED)
            ):
                still.append(owed)
                continue
            self.counts["warnings checked"] += 1
            belief = self._beliefs[owed.address, owed.dam]
            heard = max(belief.rank_at(owed.since), belief.highest_since(owed.since))
            if heard < RANK[owed.severity]:
                self._violated(
                    f"{owed.address} never heard that {owed.dam} reached {owed.severity} on {owed.day}"
                )
        self._owed = still

    @staticmethod
    def _reached(address: str, faults: Faults) -> bool:
        return faults.quiet("mail", SETTLED) and faults.quiet(f"mail:{address}", SETTLED)

    def _check_calm(self, now: datetime, dam: Dam, value: float, faults: Faults) -> None:
        """After days below what clears a severity, nobody may believe that it stands.

        Unless the clock was wrong lately: by it, the water of another day was warned of.
        """
        self._believed_days[dam.id] += 1
        patience = dam.clear_after_days + 1 + (FORECAST_DAYS if dam.forecast else 0)
        for severity in SEVERITIES:
            key = dam.id, severity
            self._calm[key] = self._calm[key] + 1 if dam.below_clear(value, severity) else 0
            high = [t.value for t in dam.thresholds if t.severity == severity]
            self._high_days[key] = self._high_days[key] + 1 if value >= high[0] else 0
        for person in PEOPLE:
            if person.refused or not person.watches(dam.id):
                continue
            for address in person.addresses:
                if self._reached(address, faults) and faults.quiet("clock", timedelta(days=2)):
                    self._check_belief(now, person, address, dam, patience)
                    self._check_reminded(now, person, address, dam, faults)

    def _check_belief(self, now: datetime, person: Person, address: str, dam: Dam, patience: int) -> None:
        belief = self._beliefs[address, dam.id]
        for severity in SEVERITIES:
            stands = belief.rank_at() >= max(RANK[severity], RANK[person.least])
            if stands and self._calm[dam.id, severity] > patience:
                self._violated(
                    f"{address} still believes in {severity} or worse at {dam.id} on {now:%Y-%m-%d}, "
                    f"{self._calm[dam.id, severity]} days after the water fell below what clears it"
                )
        if not belief.watched[1] and self._believed_days[dam.id] > 2:
            self._violated(f"{address} still believes that nobody watches {dam.id} on {now:%Y-%m-%d}")

    def _check_reminded(self, now: datetime, person: Person, address: str, dam: Dam, faults: Faults) -> None:
        undisturbed = faults.quiet("mail", REMINDED_WITHIN) and faults.quiet(
            f"mail:{address}", REMINDED_WITHIN
        )
        for severity in SEVERITIES:
            stands = self._high_days[dam.id, severity] >= 3 and RANK[severity] >= RANK[person.least]
            heard = self._beliefs[address, dam.id].highest_since(now - REMINDED_WITHIN)
            if stands and undisturbed and heard < RANK[severity]:
                self._violated(
                    f"{address} was not reminded of {severity} at {dam.id} by {now:%Y-%m-%d %H:%M}"
                )

    def _check_unwatched(self, now: datetime, dam: Dam, faults: Faults, *, stale: bool = False) -> None:
        """Silence is never mistaken for calm water."""
        if not stale and not faults.lasting(f"gone:{dam.id}", SETTLED):
            return
        for person in PEOPLE:
            if person.refused or not person.watches(dam.id):
                continue
            for address in person.addresses:
                if self._reached(address, faults) and self._beliefs[address, dam.id].watched[1]:
                    self._violated(f"{address} believes on {now:%Y-%m-%d %H:%M} that {dam.id} is watched")
                self.counts["silences checked"] += 1

    def owed(self) -> int:
        """How many people have not been shown to know what they must."""
        return len(self._owed)
