"""The rules of warning.toml, and what it comes to once they hold."""

from __future__ import annotations

import re
from pathlib import Path
from zoneinfo import ZoneInfo

from warning.config.channels import Secrets
from warning.config.configuration import ForecastSettings, Schedule
from warning.config.drafts import ForecastDraft, MailDraft, WarningFile
from warning.config.outlook_rules import check_one_place
from warning.config.problems import Complaints, shown
from warning.config.reservoir_rules import check_time_zone
from warning.config.secret_references import is_reference
from warning.config.source_rules import holds_password
from warning.domain.delivery import RetryPolicy
from warning.domain.reservoir import Severity

DEFAULT_SEVERITIES = ("advisory", "watch", "warning", "emergency")
DEFAULT_STATE_DIRECTORY = "/var/lib/dam-warning"
_DATABASE_URL = re.compile(r"[a-z][a-z0-9_+]*://\S*")
_LOOPBACK = ("localhost", "127.0.0.1")


def check_service(draft: WarningFile, complaints: Complaints) -> None:
    """Complain about every rule between keys that warning.toml breaks."""
    _check_severities(draft.severities, complaints)
    if draft.schedule:
        check_time_zone(draft.schedule.time_zone, ("schedule", "time_zone"), complaints)
    if draft.forecast:
        _check_weights(draft.forecast, complaints)
    check_one_place(draft, complaints)
    if draft.mail:
        _check_login(draft.mail, complaints)
    retry = retry_policy(draft)
    if not retry.first_wait_s <= retry.longest_wait_s:
        complaints.add(
            ("delivery", "longest_wait_s"),
            found=f"{shown(retry.longest_wait_s)} s",
            expected=f"at least first_wait_s = {shown(retry.first_wait_s)}",
            remedy="raise longest_wait_s or lower first_wait_s",
        )


def severities_of(draft: WarningFile) -> tuple[Severity, ...]:
    """Return the severities, the least first, with ranks from 1."""
    names = DEFAULT_SEVERITIES if draft.severities is None else draft.severities
    return tuple(Severity(rank, name) for rank, name in enumerate(names, start=1))


def state_directory(draft: WarningFile, directory: Path) -> Path:
    return directory / (draft.state_directory or DEFAULT_STATE_DIRECTORY)


def schedule(draft: WarningFile) -> Schedule:
    plan = draft.schedule
    if plan is None or plan.daily_at is None or plan.time_zone is None:
        raise ValueError("a draft without a schedule cannot be built")
    return Schedule(
        daily_at=plan.daily_at,
        time_zone=ZoneInfo(plan.time_zone),
        poll_minutes=plan.poll_minutes,
        delivery_every_s=plan.delivery_every_s or 15.0,
    )


def forecast_settings(draft: WarningFile, directory: Path) -> ForecastSettings:
    given = draft.forecast.model_dump(exclude_none=True) if draft.forecast else {}
    if given.get("weight_rule") == "published":
        given["weight_decay"] = 1.0
    if "outlook_folder" in given:
        given["outlook_folder"] = directory / given["outlook_folder"]
    return ForecastSettings(**given)


def retry_policy(draft: WarningFile) -> RetryPolicy:
    return RetryPolicy(**(draft.delivery.model_dump(exclude_none=True) if draft.delivery else {}))


def journal_url(draft: WarningFile, directory: Path, secrets: Secrets, complaints: Complaints) -> str:
    """Return where the record is kept. The URL may hold a password."""
    written = draft.journal.url if draft.journal else None
    path = ("journal", "url")
    if written is None:
        return f"sqlite:///{state_directory(draft, directory)}/journal.sqlite3"
    url = secrets.find(written, path, complaints) if is_reference(written) else written
    if url is None:
        return ""
    expected = "an SQLAlchemy URL, as in sqlite:////var/lib/dam-warning/journal.sqlite3"
    if not _DATABASE_URL.fullmatch(url):
        remedy = "leave it out: the record is then kept in the state directory"
        complaints.add(path, found="no URL (not shown)", expected=expected, remedy=remedy)
    elif url.startswith("sqlite") and not re.match(r"sqlite(\+\w+)?:////", url):
        remedy = "write four slashes before the path: sqlite:////var/lib/…"
        found = "SQLite without an absolute path"
        complaints.add(path, found=found, expected=expected, remedy=remedy)
    elif url == written and holds_password(url):
        complaints.add(
            path,
            found="a URL with a password in it (not shown)",
            expected="a URL without a password, or a reference to the whole URL",
            remedy='put the URL into a file of mode 600 and write url = "file:PATH"',
        )
    return url


def _check_severities(names: list[str] | None, complaints: Complaints) -> None:
    if names == []:
        remedy = "name at least one, or leave the key out: " + ", ".join(DEFAULT_SEVERITIES)
        complaints.add(("severities",), found="[]", expected="at least one severity", remedy=remedy)
    seen: set[str] = set()
    for place, name in enumerate(names or ()):
        if name.casefold() in seen:
            complaints.add(
                ("severities", place),
                found=f"{shown(name)} a second time",
                expected="each severity once",
                remedy="remove or rename one of the two",
            )
        seen.add(name.casefold())


def _check_weights(draft: ForecastDraft, complaints: Complaints) -> None:
    if draft.weight_rule == "published" and draft.weight_decay is not None:
        complaints.add(
            ("forecast", "weight_decay"),
            found=f'{shown(draft.weight_decay)} beside weight_rule = "published"',
            expected="no decay: the published rule forgets nothing",
            remedy='remove weight_decay, or write weight_rule = "decay"',
        )


def _check_login(mail: MailDraft, complaints: Complaints) -> None:
    for key, value, other_key, other in (
        ("password", mail.password, "user", mail.user),
        ("user", mail.user, "password", mail.password),
    ):
        if value is None and other is not None and ("mail", key) not in complaints.unsound:
            complaints.add(
                ("mail", key),
                found=f"nothing, but a {other_key}",
                expected="user and password, or neither",
                remedy=f"add {key}, or remove {other_key}",
            )
    if mail.security == "none" and mail.password is not None and mail.host not in _LOOPBACK:
        complaints.add(
            ("mail", "security"),
            found='"none" with a password',
            expected='"starttls" or "tls": the password would cross the network in clear text',
            remedy='write security = "starttls", or log in without a password',
        )
