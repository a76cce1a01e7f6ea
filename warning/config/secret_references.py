"""Secrets are not written into the configuration but referred to: `file:PATH` or `env:NAME`."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path

_REFERENCE = '"file:PATH" or "env:NAME", which say where the secret is kept'
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LARGEST_BYTES = 65_536


class UnusableSecretError(Exception):
    """A secret could not be had; the words in it never hold any part of the secret."""

    def __init__(self, found: str, remedy: str, expected: str = "a secret that can be read there") -> None:
        super().__init__(found)
        self.found = found
        self.expected = expected
        self.remedy = remedy


def is_reference(text: str) -> bool:
    """Say whether `text` refers to a secret instead of being one."""
    return text.startswith(("file:", "env:"))


def resolve(reference: str, directory: Path, environment: Mapping[str, str]) -> str:
    """Return the secret that `reference` names.

    A relative path is looked up in `$CREDENTIALS_DIRECTORY` (systemd's LoadCredential=), then in
    `directory`. There `secrets/mail` is also known as `secrets_mail`, as systemd names the file `mail` of a
    folder that it hands over as `secrets`. Raises UnusableSecretError.
    """
    kind, _, name = reference.partition(":")
    if kind == "env" and _ENVIRONMENT_NAME.fullmatch(name):
        return _checked(_from_environment(name, environment), f"environment variable {name}")
    if kind == "file" and name.strip() and "\0" not in name:
        return _checked(_from_file(name, directory, environment), f"secret file {name}")
    remedy = 'put the secret into a file of mode 600 and write "file:" and its path here'
    raise UnusableSecretError("a value that is no reference (not shown)", remedy, _REFERENCE)


def _from_environment(name: str, environment: Mapping[str, str]) -> str:
    if name not in environment:
        remedy = f"set {name} in the service's environment (systemd: EnvironmentFile=)"
        raise UnusableSecretError(f"environment variable {name} is not set", remedy)
    return environment[name]


def _from_file(name: str, directory: Path, environment: Mapping[str, str]) -> str:
    path = directory / name
    try:
        credential = _credential(name, environment)
        path = credential or path
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise UnusableSecretError(f"{path} is no regular file", "name a file that holds the secret alone")
        if mode & stat.S_IROTH and credential is None:
            raise UnusableSecretError(f"{path} can be read by every user", f"chmod 600 {path}")
        with path.open("rb") as file:
            content = file.read(_LARGEST_BYTES + 1)
    except OSError as error:
        raise UnusableSecretError(f"{path}: {error.strerror}", _remedy(path, environment)) from None
    try:
        return content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UnusableSecretError(f"{path} does not hold UTF-8 text", "save it as UTF-8 text") from None


def _credential(name: str, environment: Mapping[str, str]) -> Path | None:
    """Return the file by which systemd hands the secret `name` over, None where it does not."""
    handed_over = environment.get("CREDENTIALS_DIRECTORY", "")
    for known_as in (name, name.replace("/", "_")) if handed_over else ():
        offered = Path(handed_over, known_as)
        if offered.resolve().is_relative_to(Path(handed_over).resolve()) and offered.exists():
            return offered
    return None


def _remedy(path: Path, environment: Mapping[str, str]) -> str:
    remedy = f"create {path} with the secret in it, readable for the user who runs dam-warning, mode 600"
    if environment.get("CREDENTIALS_DIRECTORY"):
        remedy += "; then restart the service: systemd hands secrets over when it starts, and not at a reload"
    return remedy


def _checked(secret: str, place: str) -> str:
    if not secret.strip():
        raise UnusableSecretError(f"{place} is empty", "write the secret there")
    if len(secret) >= _LARGEST_BYTES or any(ord(c) < 32 or ord(c) == 127 for c in secret):
        remedy = "keep nothing else there: one line, without control characters"
        raise UnusableSecretError(f"{place} does not hold a single line", remedy)
    return secret
