"""The ways to reach a recipient, as Apprise URLs put together from addresses and secrets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

from warning.config.drafts import MailDraft, RecipientDraft, SmsDraft
from warning.config.problems import Complaints, KeyPath
from warning.config.secret_references import UnusableSecretError, resolve
from warning.domain.delivery import Channel, MessageForm

PHONE_PLACEHOLDER = "{phone}"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9]*://\S.*")
_OPTIONAL = re.compile(r"[?&]\s*optional\s*=", re.IGNORECASE)
_MODES = {"none": "insecure", "starttls": "starttls", "tls": "ssl"}
_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_CONNECT_TIMEOUT_S = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """Where mail is handed in, and in whose name."""

    host: str
    port: int
    security: str
    user: str | None
    password: str | None = field(repr=False)
    from_address: str
    from_name: str

    def url_to(self, address: str) -> str:
        """Return the Apprise URL that mails to `address`; it holds the password."""
        login = ""
        if self.user is not None and self.password is not None:
            login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@"
        options = {
            "smtp": self.host,  # keeps Apprise from guessing the server by the domain
            "mode": _MODES[self.security],
            "from": self.from_address,
            "name": self.from_name,
            "to": address,
            "inline": "yes",
            "cto": _CONNECT_TIMEOUT_S,
        }
        scheme = "mailto" if self.security == "none" else "mailtos"
        return f"{scheme}://{login}{self.host}:{self.port}/?{urlencode(options, quote_via=quote)}"


@dataclass(frozen=True, slots=True)
class Secrets:
    """Looks secrets up and complains where there are none."""

    directory: Path
    environment: Mapping[str, str] = field(repr=False)

    def find(self, reference: str | None, path: KeyPath, complaints: Complaints) -> str | None:
        """Return the secret that `reference`, found at `path`, names."""
        if reference is None:
            return None
        try:
            return resolve(reference, self.directory, self.environment)
        except UnusableSecretError as error:
            complaints.add(path, found=error.found, expected=error.expected, remedy=error.remedy)
            return None

    def find_url(self, reference: str | None, path: KeyPath, complaints: Complaints) -> str | None:
        """Return the Apprise URL that `reference` names, if it is one that can be relied upon."""
        url = self.find(reference, path, complaints)
        if url is None:
            return None
        if not _URL.fullmatch(url):
            remedy = "write the URL alone there, as in json://host/path; apprise's documentation lists them"
            complaints.add(path, found="no URL (not shown)", expected="an Apprise URL", remedy=remedy)
            return None
        if _OPTIONAL.search(unquote(url)):
            complaints.add(
                path,
                found="a URL with optional=",
                expected="a URL whose failures count: an optional one reads as sent when it failed",
                remedy="remove optional= from the URL",
            )
            return None
        return url


def mail_server(draft: MailDraft | None, secrets: Secrets, complaints: Complaints) -> MailServer | None:
    """Return the mail server of warning.toml; None if there is none or it is not usable."""
    if draft is None:
        return None
    password = secrets.find(draft.password, ("mail", "password"), complaints)
    if draft.host is None or draft.from_address is None:
        return None
    security = draft.security or "starttls"
    return MailServer(
        host=draft.host,
        port=draft.port or _PORTS[security],
        security=security,
        user=draft.user,
        password=password,
        from_address=draft.from_address,
        from_name=draft.from_name or "Dam warning",
    )


def sms_url(draft: SmsDraft | None, secrets: Secrets, complaints: Complaints) -> str | None:
    """Return the URL of the SMS gateway, with its placeholder for the phone number."""
    url = secrets.find_url(draft.url if draft else None, ("sms", "url"), complaints)
    if url is not None and PHONE_PLACEHOLDER not in url:
        complaints.add(
            ("sms", "url"),
            found="a URL without {phone} (not shown)",
            expected="an Apprise URL with {phone} where the number belongs",
            remedy="write it as in twilio://SID:TOKEN@+15305550100/{phone}",
        )
        return None
    return url


def channels_of(
    recipient: RecipientDraft,
    path: KeyPath,
    mail: MailServer | None,
    sms: str | None,
    secrets: Secrets,
    complaints: Complaints,
) -> tuple[Channel, ...]:
    """Return every channel of a recipient that can be used; complains about unusable references."""
    channels = []
    if recipient.email is not None and mail is not None:
        channels.append(Channel("email", MessageForm.EMAIL, mail.url_to(recipient.email)))
    if recipient.sms is not None and sms is not None:
        number = quote(recipient.sms, safe="")
        channels.append(Channel("sms", MessageForm.SMS, sms.replace(PHONE_PLACEHOLDER, number)))
    for place, reference in enumerate(recipient.apprise or ()):
        url = secrets.find_url(reference, (*path, "apprise", place), complaints)
        if url is not None:
            # named after the reference, so that another order of the list redirects nothing already recorded
            channels.append(Channel(f"apprise {reference}", MessageForm.TEXT, url))
    return tuple(channels)
