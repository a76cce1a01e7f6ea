"""What one log line says: an event and its values, for people as `key=value`, for machines as fields."""

from __future__ import annotations

import json
from collections.abc import Mapping


class Event(str):
    """The text of a log line, which also carries what it was made of."""

    name: str
    fields: Mapping[str, object]

    @classmethod
    def of(cls, name: str, fields: Mapping[str, object]) -> Event:
        words = [f"event={quoted(name)}", *(f"{key}={quoted(str(value))}" for key, value in fields.items())]
        event = cls(" ".join(words))
        event.name, event.fields = name, fields
        return event


def pairs(event: str, **values: object) -> Event:
    """Return `event=… key=value …` for one log line; a value can neither break the line nor forge a pair."""
    return Event.of(event, values)


def quoted(text: str) -> str:
    """Return `text` as it stands, or as a JSON string where it holds more than one plain word."""
    if text and text.isprintable() and not any(c in text for c in ' "=\\'):
        return text
    # JSON leaves some separators of lines as they are, ASCII leaves none
    return json.dumps(text, ensure_ascii=not text.replace("\n", "").replace("\t", "").isprintable())
