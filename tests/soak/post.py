"""A real SMTP server on loopback whose faults can be switched, and everything that it ever took."""

from __future__ import annotations

import asyncio
import email
import email.policy
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

HOST = "127.0.0.1"
logging.getLogger("mail.log").setLevel(logging.CRITICAL)  # that a mail was cut off is no news here
_LAST_WORDS_S = 5.0
_PORTS = range(21000, 29000)  # below what the kernel hands out, so that it is still ours after a refusal
_TITLE = re.compile(
    r"^(EMERGENCY|WARNING|WATCH|ALL CLEAR|UNWATCHED|WATCHED AGAIN|FINDING)\b(.*?)\b(Alder|Birch|Cedar) dam",
    re.S,
)
_NUMBER = re.compile(r"#(\d+)\]?\s*$")
_OWN_NUMBER = re.compile(r"This is alert (\d+)")
_MESSAGE_NUMBER = re.compile(r"^Message #(\d+)", re.M)
_NOT_DELIVERED = re.compile(r"NOT DELIVERED (?:to|alert \d+ to)")
_SIGN_OF_LIFE = re.compile(r": (all is well|\d+ things? needs? you)")
_UNRECORDED = re.compile(r"is on no record|NOT ON RECORD$")  # a mail's words, a short message's
SERVICE = "SERVICE"
HEARTBEAT = "HEARTBEAT"
NOT_DELIVERED = "NOT DELIVERED"


@dataclass(slots=True)
class Mail:
    """One mail as the server took it; `sure` is false where its sender may not know that it was taken."""

    at: datetime
    to: str
    subject: str
    text: str
    number: int | None
    title: str
    words: str
    dam: str | None
    sure: bool = True

    @property
    def recorded(self) -> bool:
        """Whether it is on record; what is not has no number, and says so."""
        return _UNRECORDED.search(self.text.rstrip()) is None


def understood(at: datetime, to: str, content: bytes) -> Mail:
    """Read a mail as a person would: from its subject, or from its text where it is a short message."""
    parsed = email.message_from_bytes(content, policy=email.policy.default)
    body = parsed.get_body(("plain",))
    text = body.get_content() if body is not None else ""
    subject = " ".join(str(parsed["Subject"] or "").split())
    said = subject if ":" in subject else " ".join(text.split())
    number = _NUMBER.search(said)
    if _NOT_DELIVERED.match(said):
        own = _OWN_NUMBER.search(text) or number
        return Mail(at, to, said, text, int(own[1]) if own else None, NOT_DELIVERED, "", None)
    found = _TITLE.match(said)
    if found is None:
        number = number or _MESSAGE_NUMBER.search(text)
        title = HEARTBEAT if _SIGN_OF_LIFE.search(said) else SERVICE
        return Mail(at, to, said, text, int(number[1]) if number else None, title, "", None)
    dam = found[3].lower()
    return Mail(at, to, said, text, int(number[1]) if number else None, found[1], found[2].lower(), dam)


class PostOffice:
    """The server. `fault` is None or one of refuse, busy, hang, drop, drop-after; `refused` never get mail.

    `at_step` is told of every step of a conversation before it is answered, so that the harness can kill
    the sender there; `clock` says what time it is in the simulated world.
    """

    def __init__(self, clock: Callable[[], datetime], refused: frozenset[str]) -> None:
        self.mails: list[Mail] = []
        self.fault: str | None = None
        self.faulty_address: str | None = None
        self.at_step: Callable[[str], None] = lambda step: None
        self.conversations = 0
        self._clock = clock
        self._refused = refused
        self._lock = threading.Lock()
        self._released: asyncio.Event | None = None
        self.port = free_port()
        self._controller = _Controller(self, hostname=HOST, port=self.port)
        self._controller.start()

    def close(self) -> None:
        self.set_fault(None)
        self._controller.stop()

    def set_fault(self, fault: str | None, address: str | None = None) -> None:
        """Switch; sends that hang are let go when the fault is over."""
        before, self.fault, self.faulty_address = self.fault, fault, address
        if "refuse" in (before, fault) and before != fault:
            change = self._controller.listen if before == "refuse" else self._controller.refuse
            asyncio.run_coroutine_threadsafe(change(), self._controller.loop).result(10)
        self._controller.loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        if self._released is not None:
            self._released.set()
            self._released = None

    def taken(self) -> list[Mail]:
        with self._lock:
            return list(self.mails)

    def _hits(self, address: str) -> bool:
        return self.fault is not None and self.faulty_address in (None, address)

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        self.at_step("rcpt")
        if address in self._refused:
            return "550 no such user here"
        if self._hits(address) and self.fault == "busy":
            return "451 try again later"
        if self._hits(address) and self.fault == "hang":
            if self._released is None:
                self._released = asyncio.Event()
            await self._released.wait()
            return "421 gone"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = understood(self._clock(), envelope.rcpt_tos[0], envelope.content)
        cut = self._hits(mail.to) and self.fault == "drop-after"
        mail.sure = not cut
        with self._lock:
            self.mails.append(mail)
        self.at_step("data")
        if cut:
            server.transport.abort()
        return "250 kept"

    def doubt_since(self, count: int) -> None:
        """The sender died: it may not know of anything taken after the first `count` mails."""
        until = time.monotonic() + _LAST_WORDS_S
        while self.conversations and time.monotonic() < until:
            time.sleep(0.01)  # what it had sent is still being read
        with self._lock:
            for mail in self.mails[count:]:
                mail.sure = False


class _DroppingSMTP(SMTP):
    """aiosmtpd's conversation, which may end in the middle of a mail."""

    def connection_made(self, transport: Any) -> None:
        self.event_handler.conversations += 1
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self.event_handler.conversations -= 1
        super().connection_lost(error)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        office = self.event_handler
        addresses = self.envelope.rcpt_tos if self.envelope else []
        if addresses and office._hits(addresses[0]) and office.fault == "drop":
            await self.push("354 go on")
            await self._reader.readline()
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


class _Controller(Controller):
    """A server that can stop listening and take up the same port again."""

    def factory(self) -> SMTP:
        return _DroppingSMTP(self.handler, data_size_limit=None, enable_SMTPUTF8=True)

    async def refuse(self) -> None:
        self.server.close()

    async def listen(self) -> None:
        self.server = await self._create_server()


def free_port(besides: int = 0) -> int:
    """A port that nobody listens on, from a range that the kernel hands out to nobody; not all look alike."""
    turn = os.getpid() * 17 % len(_PORTS)
    for port in (*_PORTS[turn:], *_PORTS[:turn]):
        if port == besides:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no port is free")
