"""The loopback mailbox keeps every mail, as files that a person can open."""

from __future__ import annotations

import smtplib
import socket
from email.message import EmailMessage
from pathlib import Path

import pytest

from warning.demo.mailbox import LOOPBACK, Mailbox

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


def warning_mail() -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"] = "dam-warning@example.org", "Control.Room@example.org"
    mail["Subject"] = "WARNING Kalavati dam: 503.1 m expected"
    mail.set_content("The level will reach 503.1 m.\n")
    mail.add_alternative('<p>Überlauf <img src="cid:fan"></p>', subtype="html")
    parts = mail.get_payload()
    assert isinstance(parts, list)
    html = parts[1]
    assert isinstance(html, EmailMessage)
    html.add_related(PNG, "image", "png", cid="<fan>")
    return mail


def send(port: int, mail: EmailMessage) -> None:
    with smtplib.SMTP(LOOPBACK, port, timeout=10) as client:
        client.send_message(mail)


def test_a_mail_is_kept_whole_and_as_text_html_and_image(tmp_path: Path) -> None:
    with Mailbox(tmp_path / "mail") as box:
        send(box.port, warning_mail())
        (kept,) = box.messages()
    assert kept.recipients == ("Control.Room@example.org",)
    assert kept.subject == "WARNING Kalavati dam: 503.1 m expected"
    assert kept.eml == tmp_path / "mail" / "001-control-room.eml"
    assert b"Subject: WARNING" in kept.eml.read_bytes()
    assert kept.text is not None
    assert kept.text.read_text() == "The level will reach 503.1 m.\n"
    assert [image.read_bytes() for image in kept.images] == [PNG]


def test_the_kept_html_shows_the_image_that_lies_beside_it(tmp_path: Path) -> None:
    with Mailbox(tmp_path) as box:
        send(box.port, warning_mail())
        (kept,) = box.messages()
    assert kept.html is not None
    assert 'src="001-control-room.png"' in kept.html.read_text(encoding="utf-8")
    assert "Überlauf" in kept.html.read_text(encoding="utf-8")


def test_a_short_text_without_html_or_image_has_neither_file(tmp_path: Path) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"] = "dam-warning@example.org", "+43123@sms.example.org"
    mail.set_content("WARNING Kalavati 503.1 m Fri")
    with Mailbox(tmp_path) as box:
        send(box.port, mail)
        (kept,) = box.messages()
    assert (kept.html, kept.images) == (None, ())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["001-43123.eml", "001-43123.txt"]


def test_a_second_box_on_the_same_folder_overwrites_nothing(tmp_path: Path) -> None:
    for _ in range(2):
        with Mailbox(tmp_path) as box:
            send(box.port, warning_mail())
    assert len(list(tmp_path.glob("*.eml"))) == 2


def test_a_mail_that_cannot_be_kept_is_refused_so_that_the_sender_knows(tmp_path: Path) -> None:
    folder = tmp_path / "mail"
    with Mailbox(folder) as box:
        folder.rmdir()
        with pytest.raises(smtplib.SMTPResponseException) as refused:
            send(box.port, warning_mail())
        assert refused.value.smtp_code >= 500
        assert box.messages() == ()


def test_a_closed_box_takes_nothing_more_and_still_tells_what_it_got(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    with box:
        port = box.port
        send(port, warning_mail())
    assert len(box.messages()) == 1
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((LOOPBACK, port), timeout=2)
    with pytest.raises(RuntimeError, match="closed"):
        _ = box.port
