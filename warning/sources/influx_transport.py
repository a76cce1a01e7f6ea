"""The only door to influxdb_client: one client per server, its bytes as they come, its failures in words.

TLS, proxy and credentials are set once, from the settings. Each request runs in a thread of its
own that hands its bytes over through a short queue, so that the caller's deadline holds whatever
the server does: drip a byte a minute, stall in its headers, or take the connection and fall silent.
"""

from __future__ import annotations

import base64
import http.client
import json
import queue
import re
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import urllib3
from influxdb_client.client.exceptions import InfluxDBError
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from urllib3 import exceptions as http_errors

from warning.clock import monotonic_s
from warning.errors import SourceError
from warning.sources.influx_failures import MAY_PASS, RefusedError, refusal, short, shown_address
from warning.sources.influx_settings import InfluxSettings

_PIECE_BYTES = 1 << 16
_PIECES_AHEAD = 16
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 10.0
_VERSION_BYTES = 1 << 16
_FAILURES = (InfluxDBError, http_errors.HTTPError, http.client.HTTPException, OSError, ValueError)

Body = bytes | Mapping[str, object] | None


@dataclass(frozen=True, slots=True)
class _Trouble:
    """Why an attempt failed, and whether another may succeed, at the earliest after `wait_s`."""

    error: SourceError
    may_pass: bool
    wait_s: float = 0.0


class InfluxTransport:
    """A connection to one server; closes with `close()` or as a context manager."""

    def __init__(self, settings: InfluxSettings) -> None:
        self.settings = settings
        self.where = shown_address(settings.url)
        try:
            self._client = InfluxDBClient(
                url=settings.url,
                token=settings.token or "",
                org=settings.org or "",
                timeout=(_ms(settings.read_timeout_s), _ms(settings.read_timeout_s)),
                verify_ssl=settings.verify_tls,
                ssl_context=_trusting(settings),
                proxy=settings.proxy,
            )
        except (OSError, ValueError, http_errors.HTTPError) as error:
            raise SourceError(
                f"{self.where}: cannot be asked: {error}; check url, proxy and ca_file of the source"
            ) from error

    def __enter__(self) -> InfluxTransport:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        close: Callable[[], None] = self._client.close
        close()

    def deadline(self) -> float:
        """Return when, on `clock.monotonic_s`, a reading that begins now must be done."""
        return monotonic_s() + self.settings.deadline_s

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        ends_at: float | None = None,
    ) -> Iterator[bytes]:
        """Yield the body of a 2xx answer in pieces; raises SourceError for everything else.

        A mapping as `body` is sent as JSON, bytes as they are with the Content-Type that
        `headers` name. What may pass (refused connections, 429, 502-504, silence
        before the first byte) is tried again; once bytes have come, a failure is final. A body
        that ends before its announced length, or without its last chunk, is a failure.
        """
        ask = self._request(method, path, query, body, headers)
        ends_at = self.deadline() if ends_at is None else ends_at
        flow, piece = self._begin(ask, ends_at)
        try:
            while piece:
                yield piece
                piece = self._next(flow, ask, ends_at)
        finally:
            if piece:
                flow.abandon()

    def fetch(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
        ends_at: float | None = None,
    ) -> bytes:
        """Return the whole body of a small answer; see `stream`."""
        pieces = self.stream(method, path, query=query, body=body, headers=headers, ends_at=ends_at)
        return b"".join(pieces)

    def server_version(self) -> str:
        """Return the server's version as it gives it: "1.6.7", "v2.7.4"; raises SourceError without one."""
        found: list[str] = []
        for path in ("/ping", "/health"):
            version, seen = self._version_at(path)
            if version:
                return version
            found.append(f"{path}: {seen}")
        raise SourceError(
            f"{self.where}: the server's version could not be learnt ({'; '.join(found)}); "
            'set dialect of the source to "flux" (InfluxDB 2) or "influxql" (InfluxDB 1 and 3)'
        )

    def _version_at(self, path: str) -> tuple[str, str]:
        """Return the version that a path tells, or "" and what was found instead."""
        ask, ends_at = self._request("GET", path), self.deadline()
        try:
            flow, piece = self._begin(ask, ends_at)
            body = b""
            while piece:
                body += piece
                if len(body) > _VERSION_BYTES:
                    flow.abandon()
                    break
                piece = self._next(flow, ask, ends_at)
        except RefusedError as refusal:
            return _version_in(refusal.headers, b""), f"status {refusal.status}"
        return _version_in(flow.headers, body), "an answer that names no version"

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> _Request:
        every = {**self._headers(), **(headers or {})}
        return _Request(method, path, dict(query or {}), body, every)

    def _begin(self, ask: _Request, ends_at: float) -> tuple[_Flow, bytes]:
        """Send the request, again where that may help, until its first bytes or its end are there."""
        attempt = 0
        while True:
            flow = _Flow(self._client, ask)
            try:
                return flow, flow.next_piece(ends_at)
            except _DeadlineError:
                flow.abandon()
                raise self._too_late() from None
            except _FAILURES as error:
                trouble = self._explained(error, ask)
                pause_s = max(trouble.wait_s, min(_FIRST_PAUSE_S * 2**attempt, _LONGEST_PAUSE_S))
                final = not trouble.may_pass or attempt >= self.settings.retries
                if final or monotonic_s() + pause_s >= ends_at:
                    raise _after_attempts(trouble.error, attempt + 1) from error
            attempt += 1
            time.sleep(pause_s)

    def _next(self, flow: _Flow, ask: _Request, ends_at: float) -> bytes:
        try:
            return flow.next_piece(ends_at)
        except _DeadlineError:
            raise self._too_late() from None
        except _FAILURES as error:
            raise self._explained(error, ask, begun=True).error from error

    def _headers(self) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity"}
        settings = self.settings
        if settings.token is None and settings.user is not None:
            pair = f"{settings.user}:{settings.password or ''}".encode()
            headers["Authorization"] = "Basic " + base64.b64encode(pair).decode("ascii")
        return headers

    def _too_late(self) -> SourceError:
        return SourceError(
            f"{self.where}: the answer was not complete after {self.settings.deadline_s:g} s; nothing of it "
            "is used. Look at the server's load and the network, or raise deadline_s of the source"
        )

    def _explained(self, error: Exception, ask: _Request, begun: bool = False) -> _Trouble:
        """Put a failure of the client or the network into words."""
        where = f"{self.where}{ask.path}"
        if isinstance(error, ApiException) and error.status:
            headers: Mapping[str, str] = error.headers or urllib3.HTTPHeaderDict()
            refused = refusal(where, int(error.status), error.reason, headers, error.body)
            after = headers.get("Retry-After", "")
            wait_s = float(after) if re.fullmatch("[0-9]{1,4}", after) else 0.0
            return _Trouble(refused, refused.status in MAY_PASS, wait_s)
        if isinstance(error, _UnmarkedError):
            text = (
                f"{where}: the answer came without its length or chunk marks, so that nobody could see if it "
                "was cut; nothing of it is used. Is there an HTTP/1.0 proxy before InfluxDB?"
            )
            return _Trouble(SourceError(text), may_pass=False)
        reason = str(error.reason) if isinstance(error, ApiException) else str(error)
        if isinstance(error, http_errors.ReadTimeoutError):
            what = "the answer fell silent for" if begun else "no answer within"
            text = (
                f"{where}: {what} {self.settings.read_timeout_s:g} s; look at the server's load, or raise "
                "read_timeout_s of the source"
            )
            return _Trouble(SourceError(text), may_pass=True)
        if isinstance(error, http_errors.SSLError) or "SSL" in reason:
            text = (
                f"{where}: TLS failed: {short(reason)}; check that the url begins with the right one of "
                "http and https, that the certificate names this host, and that ca_file holds who signed it"
            )
            return _Trouble(SourceError(text), may_pass=False)
        if begun:
            text = f"{where}: the answer was cut short ({short(reason)}); nothing of it is used"
            return _Trouble(SourceError(text), may_pass=True)
        text = (
            f"{where}: no connection: {short(reason)}; check the url, that the server runs, and that no "
            "firewall or proxy stands between"
        )
        return _Trouble(SourceError(text), may_pass=True)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    query: dict[str, str]
    body: Body
    headers: dict[str, str]


class _DeadlineError(Exception):
    """The deadline came before the next piece."""


class _UnmarkedError(ValueError):
    """The body has no end that could be told from a cut."""


class _Flow:
    """One request in a thread of its own; its pieces wait in a short queue."""

    def __init__(self, client: InfluxDBClient, ask: _Request) -> None:
        self.headers: Mapping[str, str] = {}
        self._pieces: queue.Queue[bytes | Exception] = queue.Queue(_PIECES_AHEAD)
        self._abandoned = threading.Event()
        self._response: urllib3.BaseHTTPResponse | None = None
        threading.Thread(target=self._run, args=(client, ask), name="influx-read", daemon=True).start()

    def next_piece(self, ends_at: float) -> bytes:
        """Return the next bytes, b"" after the last; raises what the request raised, or _DeadlineError."""
        try:
            piece = self._pieces.get(timeout=max(0.0, ends_at - monotonic_s()))
        except queue.Empty:
            raise _DeadlineError from None
        if isinstance(piece, Exception):
            raise piece
        return piece

    def abandon(self) -> None:
        """Let go of the request: its thread wakes, closes the connection and ends."""
        self._abandoned.set()
        response = self._response
        if response is not None:
            try:
                response.shutdown()
            except (OSError, ValueError, RuntimeError):
                return  # it has ended already

    def _run(self, client: InfluxDBClient, ask: _Request) -> None:
        last: bytes | Exception = OSError("the request's thread ended unexpectedly")
        try:
            self._response = _open(client, ask)
            self.headers = self._response.headers
            try:
                _refuse_unmarked(self._response)
                self._hand_over_all(self._response)
            finally:
                self._response.close()
            last = b""
        except _FAILURES as error:
            last = error
        finally:
            self._hand_over(last)

    def _hand_over_all(self, response: urllib3.BaseHTTPResponse) -> None:
        """Hand over the first bytes at once, a sign of life, then pieces worth a switch of threads."""
        waiting: list[bytes] = []
        waiting_bytes = enough_bytes = 0
        while not self._abandoned.is_set() and (got := response.read1(_PIECE_BYTES)):
            waiting.append(got)
            waiting_bytes += len(got)
            if waiting_bytes > enough_bytes:
                self._hand_over(b"".join(waiting))
                waiting, waiting_bytes, enough_bytes = [], 0, _PIECE_BYTES // 2
        if waiting:
            self._hand_over(b"".join(waiting))

    def _hand_over(self, piece: bytes | Exception) -> None:
        while not self._abandoned.is_set():
            try:
                self._pieces.put(piece, timeout=0.2)
            except queue.Full:
                continue
            return


def _open(client: InfluxDBClient, ask: _Request) -> urllib3.BaseHTTPResponse:
    """Send the request and return its answer with the body unread; raises ApiException beside 2xx."""
    call: Callable[..., urllib3.BaseHTTPResponse] = client.api_client.call_api
    return call(
        ask.path,
        ask.method,
        query_params=list(ask.query.items()),
        header_params=dict(ask.headers),
        body=ask.body,
        _preload_content=False,
        _return_http_data_only=True,
    )


def _refuse_unmarked(response: urllib3.BaseHTTPResponse) -> None:
    """Raise _UnmarkedError where a cut body would look like a whole one."""
    headers = response.headers
    marked = "Content-Length" in headers or "chunked" in headers.get("Transfer-Encoding", "").lower()
    if not marked and response.status != http.client.NO_CONTENT:
        raise _UnmarkedError


def _version_in(headers: Mapping[str, str], body: bytes) -> str:
    version = headers.get("X-Influxdb-Version", "")
    if version:
        return version
    try:
        answer = json.loads(body)
    except ValueError:
        return ""
    return str(answer.get("version", "")) if isinstance(answer, dict) else ""


def _trusting(settings: InfluxSettings) -> ssl.SSLContext | None:
    """Return a context that trusts who signed `ca_file` alone; None for whom the system trusts."""
    if settings.ca_file is None or not settings.verify_tls:
        return None
    return ssl.create_default_context(cafile=str(settings.ca_file))


def _after_attempts(error: SourceError, attempts: int) -> SourceError:
    if attempts > 1:
        error.args = (f"{error} ({attempts} attempts)",)
    return error


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
