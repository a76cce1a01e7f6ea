"""The kinds of values that the files may hold, with the words that explain them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue
from pydantic.fields import FieldInfo


@dataclass(frozen=True, slots=True)
class Expect:
    """What belongs at a key, in words, and an example in TOML. The value of a `secret` key is never shown."""

    what: str
    example: str
    required: bool = False
    secret: bool = False


def key(what: str, example: str, required: bool = False, secret: bool = False) -> Any:
    """Return a field that may be absent and carries its own explanation."""
    marks: dict[str, JsonValue] = {"required": required, "secret": secret}
    return Field(default=None, description=what, examples=[example], json_schema_extra=marks)


def expectation(field: FieldInfo) -> Expect:
    """Return what `key` was told about `field`."""
    marks = field.json_schema_extra
    if not isinstance(marks, dict) or not field.description or not field.examples:
        raise TypeError("every field of a draft is made by key()")
    return Expect(field.description, field.examples[0], bool(marks["required"]), bool(marks["secret"]))


T = TypeVar("T")


def _when(holds: Callable[[T], bool]) -> AfterValidator:
    """Refuse values for which `holds` is not true; the words for it are in the field's Expect."""

    def check(value: T) -> T:
        if not holds(value):
            raise ValueError("does not hold")
        return value

    return AfterValidator(check)


def _time_of_day(value: object) -> object:
    if isinstance(value, str) and re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", value):
        return time.fromisoformat(value)
    return value


def _plain_line(text: str, longest: int = 200) -> bool:
    return bool(text.strip()) and len(text) <= longest and text.isprintable()


def _place(text: str) -> bool:
    return _plain_line(text, 4096)


def _plain_text(text: str) -> bool:
    return bool(text.strip()) and all(line.isprintable() for line in re.split(r"[\n\t]", text))


def _rising_pair(values: list[float]) -> bool:
    return len(values) == 2 and values[0] < values[1]


Line = Annotated[str, _when(_plain_line)]
Place = Annotated[str, _when(_place)]  # a path, a URL or a reference to a secret
Text = Annotated[str, _when(_plain_text)]
Positive = Annotated[float, Field(gt=0)]
Days = Annotated[int, Field(ge=1, le=3650)]
Hours = Annotated[float, Field(gt=0, le=8760)]
Seconds = Annotated[float, Field(ge=1, le=86_400)]
TimeOfDay = Annotated[time, BeforeValidator(_time_of_day), _when(lambda at: at.tzinfo is None)]
Day = Annotated[date, _when(lambda day: type(day) is date and day.year >= 1800)]
Range = Annotated[list[float], _when(_rising_pair)]

# the addresses that Apprise takes whole: of any other (such as xn-- domains) it mails to a part
EMAIL_ADDRESS = re.compile(
    r"[A-Za-z0-9!#$&*=?^_{|}~-]+(\.[A-Za-z0-9!#$&*=?^_{|}~-]+)*(\+[A-Za-z0-9_-]+)?"
    r"@([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,10}[A-Za-z]{2,63}"
)


def _mail_address(text: str) -> bool:
    return len(text) <= 254 and text.find("@") <= 64 and bool(EMAIL_ADDRESS.fullmatch(text))


_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
Email = Annotated[str, _when(_mail_address)]
Phone = Annotated[str, _when(lambda text: bool(re.fullmatch(r"\+[1-9][0-9]{6,14}", text)))]
Host = Annotated[str, _when(lambda text: len(text) <= 253 and bool(_HOST.fullmatch(text)))]
# Apprise cannot read a display name back that holds one of these
FromName = Annotated[Line, _when(lambda text: not set(text) & set(":<>'\"\\,@()[]"))]
AllOrSome = Annotated[
    Any,  # "all" or an array of ids: a union would blur where an error lies
    _when(lambda value: value == "all" or (isinstance(value, list) and _all_strings(value))),
]


def _all_strings(values: list[object]) -> bool:
    return all(isinstance(value, str) for value in values)
