"""Whatever is done to the history behind its back, it is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from warning.domain.changes import GENESIS, Change, RecordedChange, Setting, differences, folded, verified

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
values = st.none() | texts
changes = st.builds(Change, st.sampled_from([None, "oroville", "folsom"]), texts, values, values)
states = st.dictionaries(st.tuples(st.sampled_from([None, "oroville"]), st.sampled_from("abcdef")), texts)


def chain(listed: list[Change], who: str = "maria") -> list[RecordedChange]:
    """Make a chain of changes as the record does."""
    entries: list[RecordedChange] = []
    for number, change in enumerate(listed, start=1):
        entry = RecordedChange(
            number=number,
            at=NOW + timedelta(minutes=number),
            who=who,
            note=None,
            configuration_digest="d",
            change=change,
            previous_hash=entries[-1].hash if entries else GENESIS,
            hash="",
        )
        entries.append(entry.sealed())
    return entries


chains = st.lists(changes, min_size=1, max_size=8).map(chain)
Tampering = Callable[[RecordedChange], RecordedChange]
tamperings = st.one_of(
    texts.map(lambda text: lambda e: replace(e, who=text)),
    values.map(lambda text: lambda e: replace(e, note=text)),
    texts.map(lambda text: lambda e: replace(e, configuration_digest=text)),
    texts.map(lambda text: lambda e: replace(e, hash=text)),
    texts.map(lambda text: lambda e: replace(e, previous_hash=text)),
    st.integers(-5, 20).map(lambda number: lambda e: replace(e, number=number)),
    st.timedeltas().map(lambda by: lambda e: replace(e, at=NOW + by / 1_000_000)),
    changes.map(lambda change: lambda e: replace(e, change=change)),
)


@given(chains)
def test_an_untouched_chain_is_whole(entries: list[RecordedChange]) -> None:
    found = verified(entries, newest=len(entries), known_head=entries[len(entries) // 2].hash)
    assert found.unbroken
    assert (found.entries, found.head) == (len(entries), entries[-1].hash)


@given(chains, st.data(), tamperings)
def test_any_change_of_an_entry_is_found_where_it_is(
    entries: list[RecordedChange], data: st.DataObject, tamper: Tampering
) -> None:
    place = data.draw(st.integers(0, len(entries) - 1))
    altered = tamper(entries[place])
    assume(altered != entries[place])
    assert verified([*entries[:place], altered, *entries[place + 1 :]]).broken_at == place + 1


@given(chains, st.data(), tamperings)
def test_an_altered_entry_with_the_right_hash_breaks_the_chain_at_the_next_or_its_noted_end(
    entries: list[RecordedChange], data: st.DataObject, tamper: Tampering
) -> None:
    place = data.draw(st.integers(0, len(entries) - 1))
    altered = tamper(entries[place]).sealed()
    assume(altered != entries[place])
    found = verified([*entries[:place], altered, *entries[place + 1 :]], known_head=entries[-1].hash)
    assert found.broken_at in (place + 1, place + 2)


@given(chains, st.data())
def test_any_removal_is_found(entries: list[RecordedChange], data: st.DataObject) -> None:
    removed = data.draw(st.sets(st.integers(0, len(entries) - 1), min_size=1))
    left = [entry for place, entry in enumerate(entries) if place not in removed]
    assert verified(left, newest=len(entries)).broken_at == min(removed) + 1
    assert not verified(left, known_head=entries[-1].hash).unbroken


@given(chains, st.data(), changes)
def test_any_insertion_is_found(entries: list[RecordedChange], data: st.DataObject, change: Change) -> None:
    place = data.draw(st.integers(0, len(entries) - 1))
    before = entries[place]
    inserted = replace(before, change=change).sealed()  # number and previous hash fit
    assert verified([*entries[:place], inserted, *entries[place:]]).broken_at == place + 2


@given(chains, st.data())
def test_any_other_order_is_found(entries: list[RecordedChange], data: st.DataObject) -> None:
    other = data.draw(st.permutations(entries))
    assume(other != entries)
    first_wrong = next(place for place, entry in enumerate(other) if entry != entries[place])
    assert verified(other).broken_at == first_wrong + 1


@given(st.lists(states, max_size=6))
def test_the_history_comes_to_the_state_that_was_last_recorded(
    recorded: list[dict[Setting, str]],
) -> None:
    history: list[Change] = []
    for state in recorded:
        history += differences(folded(history), state)
        assert folded(history) == state
        assert differences(folded(history), state) == ()
