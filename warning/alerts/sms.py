"""Short messages: one segment of 160 GSM-7 septets, the most important first, never split.

Alphabet and the two-septet extension: 3GPP TS 23.038, section 6.2.1.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from warning.alerts.wording import one_line

SMS_SEPTETS = 160
GSM7_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
GSM7_EXTENSION = frozenset("^{}\\[~]|€")
_REPLACEMENTS = str.maketrans(
    {
        "≥": ">=", "≤": "<=", "×": "x", "·": ".", "•": "-", "–": "-", "—": "-", "−": "-", "…": "..",
        "‘": "'", "’": "'", "‚": "'", "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "`": "'", "´": "'",
        "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ı": "i", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th",
        "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H", "ŧ": "t", "Ŧ": "T", "→": "->", "°": "deg",
    }
)  # fmt: skip

_LEAST_DAM_SEPTETS = 24
_MOST_SEVERITY_SEPTETS = 24
_LEAST_INSTRUCTION_SEPTETS = 10


def septets(text: str) -> int:
    """Return the length of GSM-7 `text` in septets; extension characters take two."""
    return sum(2 if c in GSM7_EXTENSION else 1 for c in text)


def to_gsm7(text: str) -> str:
    """Return `text` on one line in GSM-7: accents it lacks are dropped, then what is still unknown."""
    kept: list[str] = []
    for character in one_line(text).translate(_REPLACEMENTS):
        if character in GSM7_BASIC or character in GSM7_EXTENSION:
            kept.append(character)
        else:
            plain = unicodedata.normalize("NFKD", character)
            kept += [c for c in plain if c in GSM7_BASIC or c in GSM7_EXTENSION]
    return " ".join("".join(kept).split())


def shorten(text: str, most: int) -> str:
    """Cut GSM-7 `text` to `most` septets, showing by ".." that something is missing."""
    if septets(text) <= most:
        return text
    kept = ""
    for character in text:
        if septets(kept + character) > most - 2:
            break
        kept += character
    return kept.rstrip() + ".." if most > 2 else ""


def compose_sms(
    *, severity: str, basis: str, dam: Sequence[str], facts: Sequence[str], action: str, number: int | None
) -> str:
    """Put one alert into 160 septets: severity, dam, facts, what to do, alert number.

    `dam` are names to try in order (a name may have no letter that GSM-7 knows). Facts are kept
    whole or left out from the last on; the dam's name, then the instruction, are shortened.
    """
    head = shorten(to_gsm7(severity) or "WARNING", _MOST_SEVERITY_SEPTETS)
    head = f"{head} {to_gsm7(basis)}".strip()
    name = next((n for n in map(to_gsm7, dam) if n), "dam")
    tail = f" #{number}" if number is not None else ""
    room = SMS_SEPTETS - septets(head) - septets(tail) - 1
    kept = [fact for fact in map(to_gsm7, facts) if fact]
    while kept and septets(_body(name, kept)) > room and septets(_body("", kept)) > room - _LEAST_DAM_SEPTETS:
        kept.pop()
    name = shorten(name, room - septets(_body("", kept)))
    text = f"{head} {_body(name, kept)}"
    return text + _instruction(action, SMS_SEPTETS - septets(text) - septets(tail)) + tail


def _body(name: str, facts: Sequence[str]) -> str:
    return f"{name}: {', '.join(facts)}" if facts else name


def _instruction(action: str, room: int) -> str:
    """The instruction as far as it fits behind ". ", or nothing where too little would be left of it."""
    text = to_gsm7(action)
    if not text or room < min(septets(text), _LEAST_INSTRUCTION_SEPTETS) + 2:
        return ""
    return f". {shorten(text, room - 2)}"
