"""Many small sets of arrays travel as few large ones and come back as they were."""

from __future__ import annotations

import numpy as np
import pytest

from warning.forecasting.ragged import Arrays, pack, unpack

SETS: list[Arrays] = [
    {"values": np.array([1.5, np.nan]), "flags": np.array([1, 2, 3], np.uint16)},
    {"values": np.array([]), "table": np.arange(6.0).reshape(3, 2)},
    {},
    {"table": np.arange(8.0).reshape(4, 2).T, "values": np.arange(10.0)[::3]},
    {"table": np.empty((0, 7))},
]


def test_sets_of_arrays_come_back_as_they_were() -> None:
    packed = pack("some", SETS) | pack("other", SETS[:1])
    found = unpack("some", packed)
    assert [one.keys() for one in found] == [one.keys() for one in SETS]
    for one, expected in zip(found, SETS, strict=True):
        for name, array in expected.items():
            np.testing.assert_array_equal(one[name], array)
            assert one[name].dtype == array.dtype
    assert len(unpack("other", packed)) == 1
    assert unpack("none", pack("none", [])) == []


def test_numbers_that_do_not_fill_their_shapes_are_refused() -> None:
    packed = pack("some", SETS)
    packed["some/values"] = np.append(packed["some/values"], 0.0)
    with pytest.raises(ValueError, match="some/values"):
        unpack("some", packed)


def test_arrays_of_one_name_with_different_numbers_of_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="reshape"):
        pack("some", [{"values": np.zeros(2)}, {"values": np.zeros((2, 2))}])
