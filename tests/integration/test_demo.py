"""The demo as a newcomer runs it: one command, and a warning lies in the mailbox."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

LIMIT_S = 280.0


@dataclass(frozen=True)
class Demo:
    """A finished demo: what it printed and where it left its files."""

    folder: Path
    printed: str

    def mails(self, pattern: str) -> list[EmailMessage]:
        """The mails whose files match, oldest first; at least one."""
        paths = sorted((self.folder / "mailbox").glob(pattern))
        assert paths, f"no mail {pattern}"
        mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in paths]
        return [mail for mail in mails if isinstance(mail, EmailMessage)]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-m", "warning", *words, "--config", str(self.folder / "config")]
        return subprocess.run(arguments, capture_output=True, text=True, timeout=LIMIT_S, check=False)


def long_command(folder: Path) -> list[str]:
    return [sys.executable, "-m", "warning", "demo", "--folder", str(folder / "world")]


@pytest.fixture(scope="module")
def demo(long_run: Any) -> Demo:
    done = long_run.finished()
    assert done.returncode == 0, done.stderr
    return Demo(long_run.folder / "world", done.stdout)


def test_the_demo_says_where_everything_lies(demo: Demo) -> None:
    for place in ("mailbox", "journal.sqlite3", "config"):
        assert place in demo.printed
    assert "What really happened" in demo.printed


def test_the_operator_reads_a_forecast_warning_with_its_picture(demo: Demo) -> None:
    mail = demo.mails("*control-room.eml")[0]
    assert "forecast" in mail["subject"]
    assert "Kalavati" in mail["subject"]
    text = mail.get_body(("plain",))
    assert text is not None
    words = text.get_content()
    for fact in (
        "WHAT TO DO",
        "Probability",
        "this forecast's error is",
        "Alert: #1",
        "UTC+05:30",
        "Who else knows",
    ):
        assert fact in words
    html = mail.get_body(("html",))
    assert html is not None
    assert "cid:" in html.get_content()
    assert any(part.get_content_type() == "image/png" for part in mail.walk())


def test_the_sms_fits_one_message_and_names_dam_and_alert(demo: Demo) -> None:
    for mail in demo.mails("*sms*.eml"):
        text = mail.get_content().strip()
        assert len(text) <= 160
        assert "Kalavati" in text
        assert re.search(r"#\d$", text)


def test_the_flood_is_warned_of_before_it_comes_and_nobody_is_told_twice(demo: Demo) -> None:
    subjects = [str(mail["subject"]) for mail in demo.mails("*control-room.eml")]
    assert "forecast" in subjects[0], "the first word comes from a forecast"
    assert len(subjects) == len(set(subjects)) >= 2
    assert any(re.match("WARNING|EMERGENCY", subject) for subject in subjects)


def test_the_networks_made_the_forecast_of_the_demo(demo: Demo) -> None:
    assert "the networks failed" not in demo.printed
    assert "no model" not in demo.printed


def test_status_and_models_answer_from_the_demo_s_record(demo: Demo) -> None:
    status = demo.command("status")
    assert status.returncode == 1, "the record is old, so its next cycle is overdue"
    assert re.search(r"Kalavati dam +(WARNING|EMERGENCY) \(", status.stdout)
    models = demo.command("models")
    assert models.returncode == 0
    assert models.stdout.startswith("* ")


def test_the_next_day_s_cycle_goes_on_where_the_demo_stopped(demo: Demo) -> None:
    refused = demo.command("cycle", "--at", "2020-01-01")
    assert refused.returncode == 2
    assert "later than" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    done = subprocess.run(
        [sys.executable, "-m", "warning", "demo", "--folder", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
