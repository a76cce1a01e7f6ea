"""Send one message to one channel through Apprise; the only module that knows Apprise.

What had to be learned about it (2.2): a result is judged by its truth and its last attempt; adding a
URL succeeds even when no address in it is valid; `optional=yes` makes a failure read as success; `smpp://`
never reads the centre's answer; each object waits 5.5 s between sends unless told not to; any time limit,
its default of 60 s included, sends through one small pool that a few hanging servers fill; the cause of
a failed connection is logged at debug level only, and its log may hold addresses and secrets.
"""

from __future__ import annotations

import logging
import re
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote

from apprise import Apprise, AppriseAsset, NotifyFormat, OverflowMode
from apprise.attachment.memory import AttachMemory
from apprise.manager_plugins import NotificationManager
from apprise.plugins.email import base as _mail_module

from warning.domain.delivery import Message, MessageForm, SendResult

PLOT_NAME = "plot.png"  # the HTML shows it as <img src="cid:plot.png">
SOCKET_TIMEOUT_S = 30.0  # of one read or connect, unless the URL says cto= or rto=
_DETAIL_LENGTH = 300
_UNPROVEN = ("smpp", "smpps")
# what most send through; whatever else a URL says has Apprise load everything it has
_MODULES = {"mailto": "email", "mailtos": "email", "json": "custom_json", "jsons": "custom_json"}
_manager: Any = NotificationManager
_plugins = _manager()
_loading = threading.Lock()
_loaded: set[str | None] = set()  # by module; None: all
_log = logging.getLogger("apprise")
_text_alternative: ContextVar[str | None] = ContextVar("text_alternative", default=None)
_mail: Any = _mail_module
_derive_text = _mail.convert_between


def _text_beside_html(source: NotifyFormat, target: NotifyFormat, body: str) -> str:
    """Our own text as the mail's plain part: Apprise derives one from the HTML that takes tables apart."""
    ours = _text_alternative.get()
    return str(_derive_text(source, target, body)) if ours is None else ours


_mail.convert_between = _text_beside_html


def problem_with(url: str) -> str | None:
    """Say why nothing could ever be sent to `url`, or None. Nothing is sent, and no secret is said."""
    found = _load(url)
    return found if isinstance(found, str) else None


def send(url: str, form: MessageForm, message: Message, png: bytes | None, timeout_s: float) -> SendResult:
    """Send `message` in the shape `form` to the Apprise `url` and say how it ended.

    `png` is shown in the HTML where it says `cid:plot.png`. `timeout_s` limits each network wait; a server
    that drips its answer can still take longer, so the caller keeps a deadline of its own. Only an
    unusable URL is permanent: what a server refuses today it may take once somebody has mended it.
    """
    plugin = _load(url)
    if isinstance(plugin, str):
        return SendResult(ok=False, detail=plugin, permanent=True)
    _prepare(plugin, url, timeout_s)
    notifier = Apprise(asset=plugin.asset)
    notifier.add(plugin)
    as_html = form is MessageForm.EMAIL and plugin.resolve_format(NotifyFormat.HTML) == NotifyFormat.HTML
    token = _text_alternative.set(message.text if as_html else None)
    try:
        result = notifier.notify(
            body=message.html if as_html else message.sms if form is MessageForm.SMS else message.text,
            title="" if form is MessageForm.SMS else message.subject,
            body_format=NotifyFormat.HTML if as_html else NotifyFormat.TEXT,
            attach=_picture(png) if form is MessageForm.EMAIL and plugin.attachment_support else None,
            log_level=logging.DEBUG,
        )
    finally:
        _text_alternative.reset(token)
    return _judge(result, url)


def _load(url: str) -> Any:
    """Return the Apprise plugin for `url`, or in words why there is none that can be relied upon."""
    if url.partition("://")[0].lower() in _UNPROVEN:
        return "smpp:// cannot say whether the message centre took a message: use another service"
    asset = AppriseAsset(
        app_id="dam-warning",
        app_desc="dam-warning",
        storage_mode="memory",
        async_mode=False,
        pgp_autogen=False,
        service_timeout=0,
    )
    with _complaints() as complaints:
        _load_plugins_for(url.partition("://")[0].lower())
        plugin = Apprise.instantiate(url, asset=asset)
    if plugin is None:
        return "the channel's URL is none that Apprise can use"
    if plugin.optional:
        return "the channel's URL says optional=yes, which would let a failure read as success: remove it"
    if any(complaint.startswith(("Dropped", "Ignored")) for complaint in complaints):
        return "the channel's URL names an address that is not valid: correct it"
    if getattr(plugin, "targets", None) in ([], (), set()):
        return "the channel's URL names nobody to send to: add an address"
    return plugin


def _load_plugins_for(scheme: str) -> None:
    """Load the one plugin that `scheme` needs, where we know it: all two hundred take 9 MiB for ever.

    `load_modules` takes the names to load from a folder, so it is given one with this name alone.
    """
    with _loading:
        module = _MODULES.get(scheme)
        if module in _loaded or None in _loaded:
            return
        if module is None:
            _plugins.load_modules()
        else:
            with TemporaryDirectory(prefix="dam-warning-") as folder:
                Path(folder, module).touch()
                _plugins.load_modules(path=folder, name=_plugins.module_name_prefix)
        _loaded.add(module)


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what Apprise logs in this thread, and keep it from every other log: it may hold secrets."""
    _log.propagate = False
    _log.setLevel(logging.DEBUG)
    handler = _ThisThread()
    _log.addHandler(handler)
    try:
        yield handler.messages
    finally:
        _log.removeHandler(handler)


class _ThisThread(logging.Handler):
    """Keeps the messages that the thread which made it logs."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self.messages.append(record.getMessage())


def _prepare(plugin: Any, url: str, timeout_s: float) -> None:
    """Set on the plugin what must hold whatever its URL says."""
    plugin.request_rate_per_sec = 0
    plugin.retry = 0  # attempts are ours, each on record
    plugin.overflow_mode = OverflowMode.SPLIT
    plugin.inline = True
    longest_s = min(SOCKET_TIMEOUT_S, timeout_s)
    said = set(re.findall(r"[?&](cto|rto)=", url))
    connect_s = plugin.socket_connect_timeout if "cto" in said else longest_s
    read_s = plugin.socket_read_timeout if "rto" in said else longest_s
    plugin.socket_connect_timeout = min(connect_s, timeout_s)
    plugin.socket_read_timeout = min(read_s, timeout_s)


def _picture(png: bytes | None) -> list[Any] | None:
    attach: Any = AttachMemory
    return None if png is None else [attach(content=png, name=PLOT_NAME, mimetype="image/png")]


def _judge(result: Any, url: str) -> SendResult:
    """A send succeeded only if the whole result is true and every service's last attempt is."""
    services = list(result)
    if bool(result) and services and all(s.attempts and bool(s.attempts[-1]) for s in services):
        return SendResult(ok=True, detail="accepted")
    entries = [entry for service in services for attempt in service.attempts for entry in attempt.logs]
    causes = [e.message for e in entries if e.level in ("WARNING", "ERROR") or "xception" in e.message]
    told = " ".join("; ".join(dict.fromkeys(causes)).split()) or "no reason given"
    return SendResult(ok=False, detail=_without_secrets(told, url)[:_DETAIL_LENGTH])


def _without_secrets(text: str, url: str) -> str:
    """Blank out whatever of `url` stands in `text`: any part of it may be an address or a secret."""
    parts = {piece for whole in (url, unquote(url)) for piece in re.split(r"[/:@?&=,;\s<>\"]+", whole)}
    login = re.match(r"[^:]+://([^/@]*)@", url)
    if login:
        user, _, password = unquote(login[1]).partition(":")
        parts |= {
            password,
            *(b64encode(x.encode()).decode() for x in (user, password, f"\0{user}\0{password}")),
        }
    scheme = url.partition(":")[0]
    for part in sorted((p for p in parts if len(p) >= 4 and p != scheme), key=len, reverse=True):
        text = text.replace(part, "…")
    return text
