"""The soak's oracle, held against mails written by hand: what it lets pass, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
NOW = datetime(2023, 7, 25, 10, tzinfo=UTC)
CONTROL = "control@soak.example"
DIRECTLY = "WATCH observed: Birch dam 39.99 m on Tue 25 Jul (>= 39.60 m) (not on record)"
ON_RECORD = "WATCH observed: Birch dam 39.99 m on Tue 25 Jul (>= 39.60 m) [#{}]"
CLEAR = "ALL CLEAR: Birch dam 39.01 m on Thu 27 Jul [#{}]"


class NoFaults:
    def quiet(self, what: str, span: timedelta) -> bool:
        return True

    def lasting(self, what: str, span: timedelta) -> bool:
        return False


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The harness's module, found where the harness finds it."""
    monkeypatch.syspath_prepend(str(HERE))
    import post

    return post


@pytest.fixture
def violations(post: ModuleType) -> Callable[..., list[str]]:
    """Have the oracle read mails with these subjects, an hour apart, and return what it objects to."""
    from oracle import Oracle

    def read(*subjects: str) -> list[str]:
        found: list[str] = []
        Oracle(found.append).read([mail(post, n, subject) for n, subject in enumerate(subjects)], NoFaults())
        return found

    return read


def mail(post: ModuleType, hours: int, subject: str) -> Any:
    written = EmailMessage()
    written["Subject"] = subject
    recorded = "not on record" not in subject
    written.set_content("Fill the sandbags." if recorded else "This message is on no record.")
    return post.understood(NOW + timedelta(hours=hours), CONTROL, written.as_bytes())


def test_what_was_sent_directly_and_then_raised_on_record_is_no_repetition(
    violations: Callable[..., list[str]],
) -> None:
    assert violations(DIRECTLY, ON_RECORD.format(7)) == []


def test_a_short_message_that_is_on_no_record_is_known_by_its_last_words(post: ModuleType) -> None:
    written = EmailMessage()
    written.set_content("EMERGENCY OBSERVED Birch dam: observed 42.54 m on Sun 5 Mar NOT ON RECORD\n")
    read = post.understood(NOW, CONTROL, written.as_bytes())
    assert (read.recorded, read.title, read.dam) == (False, "EMERGENCY", "birch")


def test_what_was_raised_on_record_may_not_be_raised_again(violations: Callable[..., list[str]]) -> None:
    (found,) = violations(ON_RECORD.format(7), DIRECTLY, ON_RECORD.format(8))
    assert found.startswith("raised again while it stands")


def test_what_was_cleared_may_be_raised_again(violations: Callable[..., list[str]]) -> None:
    assert violations(ON_RECORD.format(7), CLEAR.format(8), ON_RECORD.format(9)) == []


def test_a_number_may_not_come_twice(violations: Callable[..., list[str]]) -> None:
    (found,) = violations(ON_RECORD.format(7), ON_RECORD.format(7))
    assert found.startswith("alert 7 came twice")
