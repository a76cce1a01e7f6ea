"""Many cells of a CSV text turned into numbers at once, without an object per cell.

A cell is given by where it starts in the text and how long it is. Cells are looked at eight bytes
at a time, as little-endian words that are zero beyond the cell's end, so that a byte's place in the
word is its place in the cell. What these fast paths cannot read exactly is read by `float`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from warning.domain.variables import BoolArray, FloatArray, IndexArray
from warning.sources.blocks import TimeArray

WordArray = NDArray[np.uint64]
ByteArray = NDArray[np.uint8]

_PADDING = bytes(8)
_KEEP = np.array([(1 << 8 * n) - 1 for n in range(9)], dtype=np.uint64)  # the first n bytes of a word
_LONGEST_NUMBER = 24  # -1.7976931348623157e+308 has 24 characters
_EXACT_MANTISSA = np.uint64(1 << 53)
_POWERS = 10.0 ** np.arange(23)  # all exact in float64
_HIGH_BITS = np.uint64(0x8080808080808080)
_TIME = b"0000-00-00T00:00:00"
_UP_TO_DIGIT, _UP_TO_SAME = 0x76, 0x7F  # what a byte may still grow by before its high bit shows
_NS_PER_S = 1_000_000_000
_FIRST_YEAR, _LAST_YEAR = 1678, 2261  # those that int64 nanoseconds hold whole
_FIRST_DAYS = np.arange(f"{_FIRST_YEAR}-01", f"{_LAST_YEAR + 1}-01", dtype="datetime64[M]")
_DAYS_BEFORE_MONTH = _FIRST_DAYS.astype("datetime64[D]").astype(np.int64)  # since 1970


class UnreadableCell(ValueError):  # noqa: N818 - it is what it is about; the caller makes the error of it
    """A cell is not what its column holds; `row` is its place among those given."""

    def __init__(self, row: int, text: str) -> None:
        super().__init__(text)
        self.row, self.text = row, text


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of cells: those of `text` that begin at `starts` and are `lengths` long."""

    text: CsvText
    starts: IndexArray
    lengths: IndexArray

    def __getitem__(self, row: int) -> bytes:
        start = int(self.starts[row])
        return self.text.data[start : start + int(self.lengths[row])]

    def word(self, number: int) -> WordArray:
        """Return bytes 8·number to 8·number+7 of each cell, zero beyond its end."""
        at = np.minimum(self.starts + 8 * number, len(self.text.data))
        return self.text.words[at] & _KEEP[np.clip(self.lengths - 8 * number, 0, 8)]

    def changes(self) -> BoolArray:
        """Say of each cell but the first whether it differs from the one before."""
        differ: BoolArray = self.lengths[1:] != self.lengths[:-1]
        for number in range((int(self.lengths.max(initial=0)) + 7) // 8):
            word = self.word(number)
            differ |= word[1:] != word[:-1]
        return differ


class CsvText:
    """A stretch of CSV text with two views: byte by byte, and the eight bytes from each byte on."""

    __slots__ = ("bytes", "data", "words")

    def __init__(self, data: bytes) -> None:
        self.data = data
        padded = np.frombuffer(data + _PADDING, np.uint8)
        self.bytes: ByteArray = padded[: len(data)]
        self.words: WordArray = np.ndarray((len(data) + 1,), "<u8", buffer=padded, strides=(1,))


def numbers(cells: Cells) -> FloatArray:
    """Read decimal numbers to the last bit as `float` does; an empty cell is NaN.

    Digits that fit 2⁵³ over a power of ten up to 10²² make one exact division (Clinger 1990); all
    others go to `float` one by one. Raises UnreadableCell.
    """
    size = cells.lengths.size
    mantissa, digits = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    point = cells.lengths - 1  # without a point, none of the digits are behind it
    points = np.zeros(size, np.int64)
    negative = np.zeros(size, np.bool_)
    longest = int(cells.lengths.max(initial=0))
    for place in range(min(longest, _LONGEST_NUMBER)):
        if place % 8 == 0:
            word = cells.word(place // 8)
        character = (word >> np.uint64(8 * (place % 8))) & np.uint64(0xFF)
        digit = character - np.uint64(ord("0"))
        is_digit = digit <= 9
        mantissa = np.where(is_digit, mantissa * np.uint64(10) + digit, mantissa)
        digits += is_digit
        is_point = character == ord(".")
        point = np.where(is_point, place, point)
        points += is_point
        if place == 0:
            negative = character == ord("-")
    decimals = cells.lengths - 1 - point
    plain = (digits > 0) & (points <= 1) & (digits + points + negative == cells.lengths)
    plain &= (digits <= 18) & (mantissa <= _EXACT_MANTISSA)
    values: FloatArray = np.where(plain, mantissa, 0) / _POWERS[np.where(plain, decimals, 0)]
    np.negative(values, out=values, where=negative)
    for row in np.flatnonzero(~plain).tolist():
        values[row] = _one_number(cells, row)
    return values


def _one_number(cells: Cells, row: int) -> float:
    cell = cells[row]
    if not cell:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise UnreadableCell(row, cell.decode(errors="replace")) from None


def times_ns(cells: Cells) -> TimeArray:
    """Read RFC 3339 times in UTC, with or without a fraction, as ns since 1970; raises UnreadableCell."""
    words = [cells.word(number) for number in range(4)]
    readable = (cells.lengths >= len(_TIME) + 1) & (cells.lengths <= len(_TIME) + len(".123456789Z"))
    for number, word in enumerate(words[:3]):
        readable &= _matches(word, _TIME[8 * number : 8 * number + 8])
    year = _digits(words[0], 0, 4)
    month, day = _digits(words[0], 5, 2), _digits(words[1], 0, 2)
    hour, minute, second = _digits(words[1], 3, 2), _digits(words[1], 6, 2), _digits(words[2], 1, 2)
    readable &= (year >= _FIRST_YEAR) & (year <= _LAST_YEAR)
    readable &= (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    readable &= (hour <= 23) & (minute <= 59) & (second <= 59)
    fraction_ns, fraction_readable = _fraction_ns(cells, words)
    readable &= fraction_readable
    for row in np.flatnonzero(~readable)[:1].tolist():
        raise UnreadableCell(row, cells[row].decode(errors="replace"))
    days: TimeArray = _DAYS_BEFORE_MONTH[(year - _FIRST_YEAR) * 12 + month - 1] + day - 1
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    fraction_ns += seconds * _NS_PER_S
    return fraction_ns


def _matches(word: WordArray, pattern: bytes) -> BoolArray:
    """Say where `word` begins like `pattern`, in which 0 stands for any digit."""
    alike = word & _KEEP[len(pattern)] ^ np.uint64(int.from_bytes(pattern, "little"))
    room = bytes(_UP_TO_DIGIT if byte == ord("0") else _UP_TO_SAME for byte in pattern)
    grown = alike + np.uint64(int.from_bytes(room, "little"))
    matches: BoolArray = ((grown | alike) & _HIGH_BITS) == 0
    return matches


def _digits(word: WordArray, first: int, count: int) -> TimeArray:
    number = np.zeros(word.size, np.int64)
    for place in range(first, first + count):
        number = number * 10 + ((word >> np.uint64(8 * place)) & np.uint64(0x0F)).astype(np.int64)
    return number


def _fraction_ns(cells: Cells, words: list[WordArray]) -> tuple[TimeArray, BoolArray]:
    """Return what stands between the whole second and the closing Z, in ns, and where that can be read."""
    digits = cells.lengths - len(_TIME) - 2  # -1 where nothing but the Z follows
    closing = _character(words, len(_TIME))
    readable = (digits == -1) & (closing == ord("Z"))
    total = np.zeros(digits.size, np.int64)
    if readable.all():
        return total, readable
    fractional = (digits >= 1) & (closing == ord("."))
    for place in range(9):
        character = _character(words, len(_TIME) + 1 + place)
        within = place < digits
        fractional &= ~within | ((character >= ord("0")) & (character <= ord("9")))
        fractional &= (place != digits) | (character == ord("Z"))
        total = total * 10 + np.where(within, character.astype(np.int64) - ord("0"), 0)
    fractional &= (digits < 9) | (_character(words, len(_TIME) + 10) == ord("Z"))
    return np.where(fractional, total, 0), readable | fractional


def _character(words: list[WordArray], place: int) -> WordArray:
    return (words[place // 8] >> np.uint64(8 * (place % 8))) & np.uint64(0xFF)
