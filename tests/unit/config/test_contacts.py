"""Whatever of a refused configuration can still be read says who is told that it was refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from warning.config.contacts import read_contacts
from warning.config.loading import load_configuration
from warning.config.problems import InvalidConfigurationError

from .conftest import ENVIRONMENT


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def channels_in(folder: Path) -> dict[str, list[str]]:
    with pytest.raises(InvalidConfigurationError):
        load_configuration(folder, ENVIRONMENT)
    contacts = read_contacts(folder, ENVIRONMENT)
    return {r.id: [channel.id for channel in r.channels] for r in contacts.recipients}


EVERYBODY = {"maria": ["email", "sms"], "desk": ["apprise env:SIREN_URL"]}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("warning.toml", 'daily_at = "06:30"', 'daily_at = "6.30"'),
        ("warning.toml", 'daily_at = "06:30"', "daily_at ="),
        ("warning.toml", "[source]", "[source"),
        ("warning.toml", 'kind = "csv"', 'kind = "csv'),
        ("warning.toml", 'kind = "csv"', 'kind = "csv"\nkind = "csv"'),
        ("reservoirs.toml", "value = 274.32", "value = nan"),
        ("reservoirs.toml", "value = 274.32", "value = 274,32"),
        ("recipients.toml", 'least_severity = "advisory"', 'least_severity = "advisery"'),
        ("recipients.toml", 'reservoirs = "all"', 'reservoirs = ["nowhere"]'),
        ("recipients.toml", 'name = "Maria"', 'nmae = "Maria"'),
    ],
)
def test_a_mistake_elsewhere_takes_nobody_off_the_list(file: str, old: str, new: str, folder: Path) -> None:
    edit(folder / file, old, new)
    assert channels_in(folder) == EVERYBODY


def test_a_mistake_in_one_recipient_takes_only_that_one_off_the_list(folder: Path) -> None:
    edit(folder / "recipients.toml", 'name = "Maria"', 'name = "Maria')
    assert channels_in(folder) == {"desk": EVERYBODY["desk"]}


def test_a_mistake_in_one_address_leaves_the_others(folder: Path) -> None:
    edit(folder / "recipients.toml", '"maria@example.org"', '"maria"')
    assert channels_in(folder) == {"maria": ["sms"], "desk": EVERYBODY["desk"]}


def test_a_password_that_cannot_be_read_is_done_without(folder: Path) -> None:
    (folder / "mail-password").unlink()
    assert channels_in(folder) == EVERYBODY  # perhaps the server takes mail from this host without a login


def test_files_that_are_missing_or_hold_no_text_name_nobody(folder: Path) -> None:
    (folder / "warning.toml").unlink()
    assert channels_in(folder) == {"desk": EVERYBODY["desk"]}
    (folder / "recipients.toml").write_bytes(b"\xff\x00" * 1000)
    assert channels_in(folder) == {}


def test_the_dams_are_named_as_far_as_they_can_be(folder: Path) -> None:
    edit(folder / "reservoirs.toml", "value = 274.32", "value = high")
    assert read_contacts(folder, ENVIRONMENT).dams == ("Oroville",)


def test_the_record_is_looked_for_where_the_broken_file_says(folder: Path) -> None:
    edit(folder / "warning.toml", 'daily_at = "06:30"', "daily_at =")
    expected = f"sqlite:///{folder}/state/journal.sqlite3"
    assert read_contacts(folder, ENVIRONMENT).journal_url == expected
