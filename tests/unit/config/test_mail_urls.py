"""The URLs built here mean to Apprise what the admin wrote, whatever signs are in it."""

from __future__ import annotations

from email.header import decode_header, make_header
from typing import Any

import apprise
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from warning.config.channels import MailServer
from warning.config.fields import EMAIL_ADDRESS


def server(**changes: Any) -> MailServer:
    settings: dict[str, Any] = {
        "host": "mail.example.org",
        "port": 587,
        "security": "starttls",
        "user": "dam-warning",
        "password": "secret",
        "from_address": "dams@example.org",
        "from_name": "Dam warning",
    }
    return MailServer(**{**settings, **changes})


def read_back(url: str) -> Any:
    plugin = apprise.Apprise.instantiate(url, suppress_exceptions=False)
    assert plugin is not None
    return plugin


@pytest.mark.parametrize(
    ("security", "mode"), [("none", "insecure"), ("starttls", "starttls"), ("tls", "ssl")]
)
def test_the_security_is_the_configured_one(security: str, mode: str) -> None:
    plugin = read_back(server(security=security, port=2525).url_to("maria@example.org"))
    assert (plugin.secure_mode, plugin.secure, plugin.port) == (mode, security != "none", 2525)
    assert plugin.smtp_host == "mail.example.org"
    assert plugin.verify_certificate


@pytest.mark.parametrize(
    "password",
    ["simple", "p@ss:w/rd?&#%", "100%25 sure", "ä€漢", "a+b c", "%41", "'\"<>\\", "a=b;c,d", "@", " x "],
)
def test_every_password_survives(password: str) -> None:
    plugin = read_back(server(password=password).url_to("maria@example.org"))
    assert plugin.password == password


@pytest.mark.parametrize("user", ["dam-warning", "dams@example.org", "DOMAIN\\dams", "a:b/c"])
def test_every_user_survives(user: str) -> None:
    assert read_back(server(user=user).url_to("maria@example.org")).user == user


@pytest.mark.parametrize(
    "address",
    [
        "maria@example.org",
        "maria.o+dams@mail.example.org",
        "m_o@ex-ample.org",
        "o&m@example.org",
        "5=x@a.co",
    ],
)
def test_mail_goes_to_exactly_the_configured_address(address: str) -> None:
    plugin = read_back(server().url_to(address))
    assert plugin.targets == [(False, address)]
    assert plugin.cc == plugin.bcc == plugin.reply_to == set()


@settings(max_examples=60, deadline=None)
@given(st.from_regex(EMAIL_ADDRESS, fullmatch=True))
def test_every_address_that_is_accepted_is_understood(address: str) -> None:
    assume(address.find("@") <= 64)
    assert read_back(server(from_address=address).url_to(address)).targets == [(False, address)]


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_every_password_of_one_line_survives_whatever_it_is(password: str) -> None:
    assume(password.isprintable() and password.strip())
    assert read_back(server(password=password).url_to("maria@example.org")).password == password


@pytest.mark.parametrize("name", ["Dam warning", "Staudamm Möhne – Warnung", "Dams & gates 100% #1?", "大坝"])
def test_the_sender_has_the_configured_name_and_address(name: str) -> None:
    plugin = read_back(server(from_name=name).url_to("maria@example.org"))
    assert plugin.from_addr[1] == "dams@example.org"
    assert str(make_header(decode_header(plugin.from_addr[0]))) == name


def test_without_login_there_is_no_user() -> None:
    plugin = read_back(server(user=None, password=None).url_to("maria@example.org"))
    assert plugin.user is None
    assert plugin.password is None


def test_a_known_mail_provider_changes_nothing() -> None:
    plugin = read_back(server(host="smtp.gmail.com", port=2525, user="x@gmail.com").url_to("m@example.org"))
    assert (plugin.smtp_host, plugin.port, plugin.user) == ("smtp.gmail.com", 2525, "x@gmail.com")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_on_this_machine_is_reached(host: str) -> None:
    plugin = read_back(server(host=host, user=None, password=None, security="none").url_to("m@example.org"))
    assert plugin.smtp_host == host


def test_pictures_are_inline_and_a_dead_server_is_given_up() -> None:
    plugin = read_back(server().url_to("maria@example.org"))
    assert plugin.inline
    assert plugin.socket_connect_timeout == 20


def test_an_sms_url_reaches_exactly_the_number() -> None:
    account = "AC" + "0" * 32
    url = f"twilio://{account}:{'1' * 32}@+15305550100/%2B15305550101"
    assert read_back(url).targets == [("T", "+15305550101")]


def test_the_repr_of_a_server_holds_no_password() -> None:
    assert "secret" not in repr(server())
