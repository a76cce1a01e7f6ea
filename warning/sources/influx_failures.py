"""The words for what goes wrong between the program and an InfluxDB server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from warning.errors import SourceError

MAY_PASS = frozenset({429, 502, 503, 504})
_SHOWN_CHARACTERS = 300


class RefusedError(SourceError):
    """The server answered with a status other than 2xx; what it `said` is its reason in one line."""

    def __init__(self, message: str, status: int, said: str, headers: Mapping[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.said = said
        self.headers = headers


def refusal(
    where: str, status: int, reason: str | None, headers: Mapping[str, str], body: bytes | str | None
) -> RefusedError:
    """Explain an answer whose status is not 2xx."""
    said = _said(body)
    if status in (401, 403):
        remedy = "check token, user and password of the source, and that they may do this"
    elif status == 404:
        remedy = "check the url, org, bucket and database of the source"
    elif 300 <= status < 400:
        remedy = f"it points to {headers.get('Location', 'another address')}; set url to that server"
    elif status in MAY_PASS:
        remedy = "the server or a proxy before it is overloaded or starting; it may pass"
    else:
        remedy = "the server's log says more"
    refused = f"refused with status {status} {reason or ''}".rstrip()
    return RefusedError(f"{where}: {refused}: {said or 'no reason given'}; {remedy}", status, said, headers)


def _said(body: bytes | str | None) -> str:
    """Return what the server gave as its reason, in one line."""
    text = body.decode("utf-8", "replace") if isinstance(body, bytes) else body or ""
    try:
        answer = json.loads(text)
    except ValueError:
        return short(text)
    if isinstance(answer, dict):
        return short(str(answer.get("error") or answer.get("message") or text))
    return short(text)


def shown_address(url: str) -> str:
    """Return the address without what may be secret in it: user, password and query."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def short(text: str) -> str:
    """Return a text of others in one line of bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARACTERS else line[:_SHOWN_CHARACTERS] + "…"
