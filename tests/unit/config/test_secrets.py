"""Secrets are referred to, looked up once, and never repeated in any text."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import pytest

from warning.config.loading import load_configuration
from warning.config.problems import InvalidConfigurationError, Problem

from .conftest import ENVIRONMENT, PASSWORD, SMS_URL, Refused


def problems_of(folder: Path, environment: dict[str, str]) -> list[Problem]:
    with pytest.raises(InvalidConfigurationError) as caught:
        load_configuration(folder, environment)
    return list(caught.value.problems)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


def test_no_repr_of_the_configuration_shows_a_secret(folder: Path) -> None:
    append(folder / "warning.toml", '[journal]\nurl = "env:JOURNAL_URL"\n')
    environment = {**ENVIRONMENT, "JOURNAL_URL": "postgresql://dam:hunter2@db/warning"}
    configuration = load_configuration(folder, environment)
    assert configuration.journal_url == environment["JOURNAL_URL"]
    text = repr(configuration) + str(configuration) + repr(configuration.recipients[0].channels)
    for secret in (PASSWORD, "t0ken", "siren.example.org", "hunter2", "pa55word"):
        assert secret not in text


def test_a_secret_reaches_the_url_without_its_line_end(folder: Path) -> None:
    urls = [c.url for r in load_configuration(folder, ENVIRONMENT).recipients for c in r.channels]
    assert "pa55word%20of%20the%20mail%20server@" in urls[0]
    assert urls[1] == "twilio://AC123:t0ken@+15305550100/%2B15305550101"
    assert urls[2] == ENVIRONMENT["SIREN_URL"]


@pytest.mark.parametrize("plain", ["hunter2", "hunter2:x", "file:", "env:hunter2-%", "env:", "FILE:hunter2"])
def test_a_plain_password_is_refused_and_not_shown(plain: str, refused: Refused) -> None:
    problems = refused("warning", "file:mail-password", plain)
    assert [problem.key for problem in problems] == ["mail.password"]
    assert "hunter2" not in str(problems[0])
    assert "mode 600" in problems[0].remedy


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('password = "file:mail-password"', 'passwort = "hunter2"\npassword = "file:mail-password"'),
        ('password = "file:mail-password"', 'password = ["hunter2"]'),
        ('password = "file:mail-password"', 'password = { value = "hunter2" }'),
        ('password = "file:mail-password"', 'password = "hunter2\\u0007"'),
        ('password = "file:mail-password"', 'password = "hunter2'),
        ('password = "file:mail-password"', 'password = "file:mail-password" hunter2'),
        ('[sms]\nurl = "file:sms.url"', 'sms = "hunter2"'),
        ('url = "file:sms.url"', 'url = "twilio://AC:hunter2@+1530/{phone}"'),
        ('host = "mail.example.org"', 'host = "smtp://user:hunter2@mail.example.org"'),
        ("[sms]", '[journal]\nurl = "postgresql://dam:hunter2@db/warning"\n[sms]'),
        ("[sms]", '[journal]\nurl = "postgresql://db/warning?password=hunter2"\n[sms]'),
        ("[sms]", '[journal]\nurl = "hunter2"\n[sms]'),
        ("[sms]", '[journal]\nurl = "postgresql://dam:hunter2@[db/warning"\n[sms]'),
    ],
)
def test_a_secret_in_a_wrong_place_is_never_repeated(
    old: str, new: str, folder: Path, refused: Refused
) -> None:
    refused("warning", old, new)
    with pytest.raises(InvalidConfigurationError) as caught:
        load_configuration(folder, ENVIRONMENT)
    text = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "written", ['["slack://hunter2/b/c"]', '"slack://hunter2/b/c"', '["hunter2"]', '[17, "hunter2"]']
)
def test_a_secret_in_place_of_a_reference_is_never_repeated(written: str, refused: Refused) -> None:
    problems = refused("recipients", '["env:SIREN_URL"]', written)
    assert "recipients.desk.apprise" in problems[0].key
    assert "hunter2" not in "".join(map(str, problems))


def test_a_secret_that_others_can_read_is_refused(folder: Path) -> None:
    (folder / "mail-password").chmod(0o644)
    problems = problems_of(folder, ENVIRONMENT)
    assert [problem.key for problem in problems] == ["mail.password"]
    assert problems[0].remedy == f"chmod 600 {folder}/mail-password"


def test_a_group_may_read_a_secret(folder: Path) -> None:
    (folder / "mail-password").chmod(0o640)
    assert load_configuration(folder, ENVIRONMENT).recipients


def test_what_systemd_provides_goes_before_the_folder_and_is_guarded_already(folder: Path) -> None:
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "mail-password").write_text("from-systemd")
    (credentials / "mail-password").chmod(0o444)
    environment = {**ENVIRONMENT, "CREDENTIALS_DIRECTORY": str(credentials)}
    maria = load_configuration(folder, environment).recipients[0]
    assert ":from-systemd@" in maria.channels[0].url
    assert maria.channels[1].url == SMS_URL.replace("{phone}", "%2B15305550101")


def test_a_secret_of_the_folder_that_systemd_hands_over_has_the_name_it_has_in_the_configuration(
    folder: Path,
) -> None:
    path = folder / "warning.toml"
    path.write_text(path.read_text().replace("file:mail-password", "file:secrets/mail-password"))
    credentials = folder / "credentials"
    credentials.mkdir()
    (credentials / "secrets_mail-password").write_text("from-systemd")  # LoadCredential=secrets:FOLDER
    environment = {**ENVIRONMENT, "CREDENTIALS_DIRECTORY": str(credentials)}
    assert ":from-systemd@" in load_configuration(folder, environment).recipients[0].channels[0].url
    (folder / "secrets").mkdir()
    (folder / "secrets" / "mail-password").write_text("from-folder")
    (folder / "secrets" / "mail-password").chmod(0o600)
    assert ":from-folder@" in load_configuration(folder, ENVIRONMENT).recipients[0].channels[0].url


def test_a_secret_that_systemd_did_not_hand_over_asks_for_a_restart(folder: Path) -> None:
    (folder / "mail-password").unlink()
    credentials = folder / "credentials"
    credentials.mkdir()
    (problem,) = problems_of(folder, {**ENVIRONMENT, "CREDENTIALS_DIRECTORY": str(credentials)})
    assert "restart the service" in problem.remedy


def test_leaving_the_credentials_directory_leaves_its_protection(folder: Path) -> None:
    credentials = folder / "credentials"
    credentials.mkdir()
    (folder / "mail-password").chmod(0o644)
    path = folder / "warning.toml"
    path.write_text(path.read_text().replace("file:mail-password", "file:../mail-password"))
    environment = {**ENVIRONMENT, "CREDENTIALS_DIRECTORY": str(credentials)}
    assert [problem.key for problem in problems_of(folder, environment)] == ["mail.password"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"two\nlines\n", "single line"),
        (b"nul\0byte", "single line"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * 100_000, "single line"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(content: bytes, words: str, folder: Path) -> None:
    (folder / "mail-password").write_bytes(content)
    problems = problems_of(folder, ENVIRONMENT)
    assert [problem.key for problem in problems] == ["mail.password"]
    assert words in problems[0].found


def test_a_missing_file_and_a_missing_variable_are_named(folder: Path) -> None:
    (folder / "mail-password").unlink()
    problems = problems_of(folder, {})
    assert [problem.key for problem in problems] == ["mail.password", "recipients.desk.apprise[1]"]
    assert "mail-password" in problems[0].found
    assert "SIREN_URL" in problems[1].found


def test_a_pipe_in_place_of_a_secret_does_not_hang(folder: Path) -> None:
    (folder / "mail-password").unlink()
    os.mkfifo(folder / "mail-password", 0o600)
    assert "no regular file" in problems_of(folder, ENVIRONMENT)[0].found


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("json://host/?optional=yes", "optional="),
        ("json://host/?a=1&Optional=no", "optional="),
        ("json://host/?%6Fptional=yes", "optional="),
        ("siren.example.org", "no URL"),
        ("json:// host", "no URL"),
    ],
)
def test_an_apprise_url_that_cannot_be_relied_upon_is_refused(url: str, words: str, folder: Path) -> None:
    problems = problems_of(folder, {"SIREN_URL": url})
    assert [problem.key for problem in problems] == ["recipients.desk.apprise[1]"]
    assert words in problems[0].found
    assert "host" not in problems[0].found


def test_an_sms_url_without_a_place_for_the_number_is_refused(folder: Path) -> None:
    (folder / "sms.url").write_text("twilio://AC123:t0ken@+15305550100/+15305550101")
    problems = problems_of(folder, ENVIRONMENT)
    assert [problem.key for problem in problems] == ["sms.url"]
    assert "{phone}" in problems[0].expected
