"""What is said about the service itself: its troubles, and the daily sign of life.

Troubles go by mail and by every other channel; by SMS only where the watch is blind or dumb, or where a
recipient has nothing else. The sign of life never goes by SMS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from warning.alerts.messages import rendered
from warning.alerts.palette import CALM_COLOUR
from warning.alerts.service_words import WORDS
from warning.alerts.sms import SMS_SEPTETS, septets, shorten, to_gsm7
from warning.alerts.wording import one_line, utc_time_text
from warning.domain.alert import Alert
from warning.domain.delivery import Message, MessageForm, Recipient, recipients_of
from warning.domain.troubles import StandingTrouble, Trouble, TroubleNews

TROUBLE_COLOUR = "#a84300"
BLIND_COLOUR = "#a3161f"


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What the daily sign of life tells: `needs` are what a person must see to, `facts` label and value."""

    host: str
    made_at: datetime
    needs: tuple[str, ...]
    dams: tuple[tuple[str, str], ...]  # the dam, and how it stands in one line
    facts: tuple[tuple[str, str], ...]
    version: str


@dataclass(frozen=True, slots=True)
class _Section:
    """One trouble in a mail."""

    title: str
    state: str  # "new", "still", "over"
    message: str
    rows: tuple[tuple[str, str], ...]


def deliveries_of(
    alert: Alert, recipients: Iterable[Recipient], *, by_sms: bool, sms_alone: bool = True
) -> tuple[tuple[str, str, MessageForm], ...]:
    """Return who gets `alert` and how: by SMS only where `by_sms`, or where one has nothing else.

    Where not `sms_alone`, who has nothing but SMS gets nothing.
    """
    return tuple(
        (recipient.id, channel.id, channel.form)
        for recipient in recipients_of(alert, recipients)
        for channel in recipient.channels
        if channel.form is not MessageForm.SMS
        or by_sms
        or (sms_alone and all(other.form is MessageForm.SMS for other in recipient.channels))
    )


def title_of(trouble: Trouble) -> str:
    """Say in a few words what is wrong: "disk nearly full", "the job cycle fails"."""
    return WORDS[trouble.kind].title.format(key=one_line(trouble.key))


def compose_news(alert: Alert, news: TroubleNews, host: str) -> Message:
    """Put what has become of the service's troubles into words; pure. `host` names the machine."""
    now, name = alert.created_at, one_line(host) or "an unnamed host"
    sections = (
        *(_section(s, "new", now) for s in news.fresh),
        *(_section(s, "still", now) for s in news.reminded),
        *(_section(s, "over", now) for s in news.over),
    )
    told = {s.trouble.identity for s in (*news.fresh, *news.reminded)}
    # what is gone but may come back still stands; what else stands is named, and was told before
    others = tuple(
        f"{title_of(s.trouble)}, since {utc_time_text(s.since)}"
        + (", not seen lately" if s.gone_since is not None else "")
        for s in news.standing
        if s.trouble.identity not in told
    )
    gist = _gist(news)
    context = {
        "subject": _cut(f"dam-warning on {name}: {gist}", 160),
        "banner": gist[:1].upper() + gist[1:],
        "host": name,
        "colour": _colour(news),
        "sections": sections,
        "others": others,
        "number": _number(alert),
        "issued": utc_time_text(now),
    }
    return Message(
        subject=str(context["subject"]),
        text=rendered("service.txt", context),
        html=rendered("service.html", context),
        sms=_sms(f"DAM-WARNING {name}: {gist}", _sms_effect(news), alert),
    )


def compose_heartbeat(alert: Alert, heartbeat: Heartbeat) -> Message:
    """Put the daily sign of life into words; pure."""
    name = one_line(heartbeat.host) or "an unnamed host"
    count = len(heartbeat.needs)
    gist = (
        "all is well"
        if not count
        else f"{count} thing needs you"
        if count == 1
        else f"{count} things need you"
    )
    context = {
        "subject": _cut(f"dam-warning on {name}: {gist}", 160),
        "banner": gist[:1].upper() + gist[1:],
        "host": name,
        "colour": TROUBLE_COLOUR if count else CALM_COLOUR,
        "needs": tuple(one_line(need) for need in heartbeat.needs),
        "dams": tuple((one_line(dam), one_line(words)) for dam, words in heartbeat.dams),
        "facts": tuple((label, one_line(value)) for label, value in heartbeat.facts),
        "number": _number(alert),
        "issued": utc_time_text(heartbeat.made_at),
        "version": heartbeat.version,
    }
    return Message(
        subject=str(context["subject"]),
        text=rendered("heartbeat.txt", context),
        html=rendered("heartbeat.html", context),
        sms=_sms(f"DAM-WARNING {name}: {gist}", "", alert),
    )


def span_text(span: timedelta) -> str:
    """Say how long something lasted: "under a minute", "3 hours 20 minutes", "5 days 2 hours"."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return "under a minute"
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    parts = [(days, "day"), (hours, "hour"), (0 if days else minutes, "minute")]
    return " ".join(f"{n} {unit}{'' if n == 1 else 's'}" for n, unit in parts if n)


def _section(known: StandingTrouble, state: str, now: datetime) -> _Section:
    words, trouble = WORDS[known.trouble.kind], known.trouble
    gone = known.gone_since or now
    if state == "over":
        since = f"{utc_time_text(known.since)} to {utc_time_text(gone)}: {span_text(gone - known.since)}"
        rows: tuple[tuple[str, str], ...] = (("Lasted", since),)
    else:
        since = utc_time_text(known.since)
        if now - known.since >= timedelta(minutes=1):
            since += f", for {span_text(now - known.since)}"
        if known.again:
            since += "; it had been over for less than a day"
        rows = (("Since", since), ("For the watch", words.effect), ("Look here", words.command))
    return _Section(title_of(trouble) + _in_brackets(trouble), state, _lines(trouble.message), rows)


def _lines(text: str) -> str:
    """Keep the lines of a message, such as a list of problems, and nothing else that moves a cursor."""
    return "\n".join(line for line in map(one_line, text.splitlines()) if line)


def _gist(news: TroubleNews) -> str:
    """The end of the subject: the most pressing news, and how many more there are."""
    told = [
        *(title_of(s.trouble) + _in_brackets(s.trouble) for s in news.fresh),
        *(f"still {title_of(s.trouble)}{_in_brackets(s.trouble)}" for s in news.reminded),
        *(WORDS[s.trouble.kind].over or f"{title_of(s.trouble)}: over" for s in news.over),
    ]
    if not told:
        return "nothing is wrong"
    return told[0] if len(told) == 1 else f"{told[0]} and {len(told) - 1} more"


def _in_brackets(trouble: Trouble) -> str:
    return f" ({one_line(trouble.detail)})" if trouble.detail else ""


def _colour(news: TroubleNews) -> str:
    stands = (*news.fresh, *news.reminded)
    if not stands:
        return CALM_COLOUR
    return BLIND_COLOUR if any(s.trouble.blinds for s in stands) else TROUBLE_COLOUR


def _sms_effect(news: TroubleNews) -> str:
    told: Sequence[StandingTrouble] = (*news.fresh, *news.reminded)
    return WORDS[told[0].trouble.kind].effect if told else ""


def _sms(gist: str, effect: str, alert: Alert) -> str:
    tail = f" #{alert.number}" if alert.number is not None else ""
    room = SMS_SEPTETS - septets(tail)
    text = to_gsm7(f"{gist}. {effect}" if effect else gist)
    return shorten(text, room) + tail


def _number(alert: Alert) -> str:
    return f"Message #{alert.number}" if alert.number is not None else "Message not yet numbered"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 2].rstrip() + ".."
