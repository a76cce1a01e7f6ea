"""The rules of recipients.toml, and those on who hears of which dam."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from warning.config.drafts import RecipientDraft, ReservoirDraft, WarningFile
from warning.config.problems import Complaints, KeyPath, alternatives, shown
from warning.config.reservoir_rules import Ranks, check_id, check_severity
from warning.domain.delivery import Channel, MessageForm

Recipients = Mapping[str, RecipientDraft]
Reservoirs = Mapping[str, ReservoirDraft]
_DECIDING: tuple[KeyPath, ...] = ((), ("reservoirs",), ("least_severity",))


def check_recipients(
    recipients: Recipients, service: WarningFile | None, ranks: Ranks | None, complaints: Complaints
) -> None:
    """Complain about recipients that are not sound in themselves or cannot be reached.

    `service` is None where warning.toml could not be read.
    """
    if not recipients and ("recipients",) not in complaints.unsound:
        remedy = "add a table [recipients.ID]"
        complaints.add(("recipients",), found="nobody", expected="at least one recipient", remedy=remedy)
    for name, recipient in recipients.items():
        path: KeyPath = ("recipients", name)
        check_id(name, path, complaints)
        check_severity(recipient.least_severity, (*path, "least_severity"), ranks, complaints)
        _check_ways(recipient, path, service, complaints)


def _check_ways(
    recipient: RecipientDraft, path: KeyPath, service: WarningFile | None, complaints: Complaints
) -> None:
    broken = any((*path, key) in complaints.unsound for key in ("email", "sms", "apprise"))
    if not (recipient.email or recipient.sms or recipient.apprise or broken):
        complaints.add(
            path,
            found="no way to reach this recipient",
            expected="at least one of email, sms and apprise",
            remedy='add for example: email = "maria@example.org"',
        )
    if service is None:
        return
    for key, table in (("email", service.mail), ("sms", service.sms)):
        section = "mail" if key == "email" else "sms"
        if getattr(recipient, key) is not None and table is None:
            complaints.add(
                (*path, key),
                found=f"a recipient by {key}, but nothing to send it with",
                expected=f"a table [{section}] in warning.toml",
                remedy=f"add [{section}] there, as in the commented sample",
            )


def check_addresses(
    recipients: Recipients, channels: Mapping[str, Sequence[Channel]], complaints: Complaints
) -> None:
    """Complain about addresses that would get every message twice.

    Addresses and numbers are compared as written; Apprise URLs as looked up, in `channels`.
    """
    owners: dict[str, str] = {}
    for name, recipient in recipients.items():
        ways = [("email", (recipient.email or "").casefold()), ("sms", recipient.sms or "")]
        ways += [("apprise", c.url) for c in channels[name] if c.form is MessageForm.TEXT]
        for key, address in ways:
            if address in owners:
                other = (
                    "this recipient already has" if owners[address] == name else f"{owners[address]} has too"
                )
                complaints.add(
                    ("recipients", name, key),
                    found=f"an address that {other}",
                    expected="each address once: it would get every message twice",
                    remedy="remove it from one of the two, or make them one recipient",
                )
            if address:
                owners.setdefault(address, name)


def audience(recipients: Recipients, reservoirs: Reservoirs) -> dict[str, frozenset[str] | None]:
    """Return the dams that each recipient hears of, None for all of them.

    A recipient hears of the dams that it names, and of those that name it.
    """
    heard: dict[str, frozenset[str] | None] = {}
    for name, recipient in recipients.items():
        if recipient.reservoirs == "all":
            heard[name] = None
        else:
            heard[name] = frozenset(recipient.reservoirs or ())
    for dam_id, dam in reservoirs.items():
        for name in dam.recipients or ():
            own = heard.get(name)
            if own is not None:
                heard[name] = own | {dam_id}
    return heard


def check_dams_named(
    recipients: Recipients, reservoirs: Reservoirs, known: Sequence[str], complaints: Complaints
) -> None:
    """Complain about dams that recipients name and nobody defined, and recipients who hear of none.

    `known` are all ids in reservoirs.toml, `reservoirs` the dams that could be understood.
    """
    heard = audience(recipients, reservoirs)
    for name, recipient in recipients.items():
        path: KeyPath = ("recipients", name, "reservoirs")
        if heard[name] == frozenset() and path not in complaints.unsound:
            complaints.add(
                path,
                found="no dam",
                expected='"all", ids of dams, or a dam that names this recipient',
                remedy='write reservoirs = "all", or remove this recipient',
            )
        named = recipient.reservoirs if isinstance(recipient.reservoirs, list) else []
        for place, dam_id in enumerate(named):
            if dam_id not in known:
                complaints.add(
                    (*path, place),
                    found=f"{shown(dam_id)}, which nobody defined",
                    expected="the id of a dam of reservoirs.toml",
                    remedy=alternatives(dam_id, known),
                )


def check_audience(
    recipients: Recipients,
    reservoirs: Reservoirs,
    ranks: Ranks | None,
    recipient_complaints: Complaints,
    reservoir_complaints: Complaints,
) -> None:
    """Complain about dams that nobody hears of, unless it is unclear yet who hears of what."""
    if any(path[2:] in _DECIDING for path in recipient_complaints.unsound):
        return
    if any(path[2:] == ("recipients",) for path in reservoir_complaints.unsound):
        return
    heard = audience(recipients, reservoirs)
    everywhere = [name for name, dams in heard.items() if dams is None]
    listeners: dict[str, list[str]] = {dam_id: list(everywhere) for dam_id in reservoirs}
    for name, dams in heard.items():
        for dam_id in dams or ():
            listeners.get(dam_id, []).append(name)
    for dam_id, names in listeners.items():
        told = [recipients[name] for name in names]
        _check_listeners(dam_id, reservoirs[dam_id], told, ranks, reservoir_complaints)


def _check_listeners(
    dam_id: str,
    dam: ReservoirDraft,
    told: Sequence[RecipientDraft],
    ranks: Ranks | None,
    complaints: Complaints,
) -> None:
    path: KeyPath = ("reservoirs", dam_id, "recipients")
    remedy = f'add "{dam_id}" to the reservoirs of a recipient in recipients.toml, or recipients = [...] here'
    expected = "at least one recipient for every dam: a warning nobody reads is none"
    if not told:
        complaints.add(path, found="a dam that nobody is told about", expected=expected, remedy=remedy)
        return
    severities = [t.severity for t in (*(dam.thresholds or ()), *(dam.rise_thresholds or ()))]
    if ranks is None or not severities or any(severity not in ranks for severity in severities):
        return
    highest = max((severity for severity in severities if severity), key=lambda s: ranks[s])
    if all(ranks.get(r.least_severity or "", 0) > ranks[highest] for r in told):
        complaints.add(
            path,
            found=f"nobody who is told of {shown(highest)}, the highest severity of this dam",
            expected=expected,
            remedy=f"lower least_severity of a recipient to {shown(highest)} or less",
        )
