"""The dead-man ping: after each complete cycle one request to a service that raises the alarm if none comes.

The URL is a secret: who knows it can feign a healthy daemon. It stands in no log line and no error.
"""

from __future__ import annotations

import http.client
import logging
import queue
import threading
import urllib.error
import urllib.request
from typing import IO, Final
from urllib.parse import urlsplit

from warning.clock import monotonic_s
from warning.events import pairs
from warning.ops.logs import masked

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
RETRIES: Final = 2
_SCHEMES: Final = ("http", "https")
_MOST_HANGING: Final = 3


def ping(url: str, timeout_s: float = TIMEOUT_S, retries: int = RETRIES) -> str | None:
    """Ask for `url`; None when it answered with success, else why it did not, without the URL.

    Each of the 1 + `retries` attempts takes `timeout_s` at most, however slowly the server answers.
    """
    trouble: str | None = None
    for _ in range(1 + retries):
        trouble = _attempt(url, timeout_s)
        if trouble is None:
            return None
    return f"the dead-man ping failed {1 + retries} times: {trouble}"


class Pinger:
    """Pings in a thread of its own, so that no cycle waits for it; `trouble` is what the last one came to."""

    def __init__(self, timeout_s: float = TIMEOUT_S, retries: int = RETRIES) -> None:
        self._timeout_s, self._retries = timeout_s, retries
        self._running: threading.Thread | None = None
        self.trouble: str | None = None

    def ping_soon(self, url: str) -> bool:
        """Start a ping and return at once; False where the one before has not ended."""
        if self._running is not None and self._running.is_alive():
            return False
        self._running = threading.Thread(target=self._ping, args=(url,), name="dead-man ping", daemon=True)
        self._running.start()
        return True

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ping under way; False where it has not ended by then."""
        if self._running is None:
            return True
        self._running.join(timeout_s)
        return not self._running.is_alive()

    def _ping(self, url: str) -> None:
        before, self.trouble = self.trouble, ping(url, self._timeout_s, self._retries)
        if self.trouble is not None:
            log.warning(pairs("ping-failed", error=self.trouble))
        elif before is not None:
            log.info(pairs("ping-well-again"))


_hanging: set[threading.Thread] = set()


def _attempt(url: str, timeout_s: float) -> str | None:
    """Make one attempt; a server that drips its answer outlives every socket's limit, so a thread does it."""
    _hanging.intersection_update({thread for thread in _hanging if thread.is_alive()})
    if len(_hanging) >= _MOST_HANGING:
        return "earlier attempts there still hang"
    answers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    thread = threading.Thread(
        target=lambda: answers.put(_ask(url, timeout_s)), name="dead-man attempt", daemon=True
    )
    until_s = monotonic_s() + timeout_s
    thread.start()
    try:
        return answers.get(timeout=max(until_s - monotonic_s(), 0.0))
    except queue.Empty:
        _hanging.add(thread)
        return f"no answer within {timeout_s:g} s"


def _ask(url: str, timeout_s: float) -> str | None:
    """Send one request; the body of the answer is left unread."""
    if _scheme(url) not in _SCHEMES:
        return "the URL is not one of http:// or https://"
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "dam-warning", "Accept": "*/*"})
        with _opener().open(request, timeout=timeout_s) as answer:
            status = int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return _answered(error.code)
    except urllib.error.URLError as error:
        return _cause(error.reason) if isinstance(error.reason, OSError) else "the request could not be made"
    except OSError as error:
        return _cause(error)
    except (http.client.HTTPException, ValueError) as error:  # their text may hold the URL
        return f"the exchange broke off: {type(error).__name__}"
    return None if 200 <= status < 300 else _answered(status)


def _answered(status: int) -> str:
    return f"the server answered {status}, expected 2xx"


def _cause(error: OSError) -> str:
    return masked(error.strerror or type(error).__name__)


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme.lower()
    except ValueError:
        return ""


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows at most two redirects, to the web alone and never from https:// to http://."""

    max_redirections = 2
    max_repeats = 1

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        allowed = ("https",) if req.type == "https" else _SCHEMES
        if _scheme(newurl) not in allowed:
            return None  # the answer then counts as what it is: not a success
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener that knows the web and nothing else: no files, no FTP, no data in the URL."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SafeRedirects(),
    ):
        opener.add_handler(handler)
    return opener
