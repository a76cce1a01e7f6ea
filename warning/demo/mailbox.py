"""A mailbox on loopback: takes every mail that is sent to it and lays it out as files to open."""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """One mail as it came, and the files it was laid out in; a part it lacks has no file."""

    recipients: tuple[str, ...]
    subject: str
    eml: Path
    text: Path | None
    html: Path | None
    images: tuple[Path, ...]


class Mailbox:
    """An SMTP server on a free port of 127.0.0.1, open inside a `with`.

    Each mail becomes `NNN-recipient.eml` in `folder`, with its text as `.txt`, its HTML as `.html`
    and its PNG images beside it; the HTML shows the images when it is opened in a browser.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mails: list[ReceivedMail] = []
        self._server: _LoopbackServer | None = None

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._server = _LoopbackServer(self)
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    @property
    def port(self) -> int:
        """The port that mail is taken on. Raises RuntimeError outside the `with`."""
        if self._server is None:
            raise RuntimeError("the mailbox is closed: it has a port only inside its `with`")
        return int(self._server.port)

    def messages(self) -> tuple[ReceivedMail, ...]:
        """Return the mails received so far, oldest first; still there after the box is closed."""
        return tuple(self._mails)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 (aiosmtpd's name)
        """Lay out one mail; whatever fails here is answered with a 5xx, so the sender knows."""
        content = envelope.content
        if not isinstance(content, bytes):
            return "554 the mail has no content"
        self._mails.append(self._lay_out(content, tuple(envelope.rcpt_tos)))
        return "250 kept"

    def _lay_out(self, content: bytes, recipients: tuple[str, ...]) -> ReceivedMail:
        mail = message_from_bytes(content, policy=policy.default)
        number = len(list(self._folder.glob("*.eml"))) + 1
        stem = f"{number:03d}-{_plain(recipients[0] if recipients else 'nobody')}"
        images = self._write_images(mail, stem)
        text, html = _body(mail, "plain"), _body(mail, "html")
        for content_id, image in images:
            html = html and html.replace(f"cid:{content_id}", image.name)
        return ReceivedMail(
            recipients=recipients,
            subject=str(mail["Subject"] or ""),
            eml=self._write(f"{stem}.eml", content),
            text=self._write(f"{stem}.txt", text.encode()) if text else None,
            html=self._write(f"{stem}.html", html.encode()) if html else None,
            images=tuple(image for _, image in images),
        )

    def _write_images(self, mail: EmailMessage, stem: str) -> list[tuple[str, Path]]:
        """Write the PNG parts; return each with the Content-ID that the HTML knows it by."""
        parts = [part for part in mail.walk() if part.get_content_type() == "image/png"]
        written = []
        for number, part in enumerate(parts, start=1):
            name = f"{stem}.png" if len(parts) == 1 else f"{stem}-{number}.png"
            image = part.get_payload(decode=True)
            if isinstance(image, bytes):
                content_id = str(part["Content-ID"] or "").strip("<> ") or "none"
                written.append((content_id, self._write(name, image)))
        return written

    def _write(self, name: str, content: bytes) -> Path:
        path = self._folder / name
        path.write_bytes(content)
        return path


class _LoopbackServer(Controller):
    """aiosmtpd's threaded server on a socket that is bound first, so that the free port is known."""

    def __init__(self, mailbox: Mailbox) -> None:
        self._socket = socket.create_server((LOOPBACK, 0))
        super().__init__(mailbox, hostname=LOOPBACK, port=self._socket.getsockname()[1])

    def _create_server(self) -> Awaitable[Any]:
        return self.loop.create_server(self._factory_invoker, sock=self._socket)


def _body(mail: EmailMessage, kind: str) -> str | None:
    """Return the text of the mail's first part of text/`kind`."""
    for part in mail.walk():
        if part.get_content_type() == f"text/{kind}" and part.get_content_disposition() != "attachment":
            return str(part.get_content())
    return None


def _plain(address: str) -> str:
    """Return an address's local part, safe as part of a file name."""
    return re.sub(r"[^a-z0-9]+", "-", address.partition("@")[0].lower()).strip("-") or "nobody"
