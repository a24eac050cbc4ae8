"""Settings: laid over each other, typed on a command line, shown in a line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweeps import settings, spec
from sweeps.errors import UserError

names = st.text("abcxyz", min_size=1, max_size=3)
nested = st.recursive(
    st.dictionaries(names, st.integers(0, 9), max_size=3),
    lambda inner: st.dictionaries(names, inner | st.integers(0, 9), max_size=3),
    max_leaves=6,
)


@given(nested, nested, nested)
def test_merging_is_associative_and_the_upper_wins(
    a: dict[str, Any], b: dict[str, Any], c: dict[str, Any]
) -> None:
    assert settings.merge(settings.merge(a, b), c) == settings.merge(a, settings.merge(b, c))
    assert settings.merge(a, {}) == settings.merge({}, a) == a
    assert settings.flat(settings.merge(a, b)).items() >= settings.flat(b).items()


@given(nested)
def test_what_is_shown_can_be_typed(asked: dict[str, Any]) -> None:
    flat = settings.flat(asked)
    assert settings.flat(settings.parse(f"{k}={v}" for k, v in flat.items())) == flat


def test_values_are_yaml() -> None:
    found = settings.parse(["a.b=1", "a.c=true", "d=[1, 2]", "e=x=y", "a.b=2"])
    assert found == {"a": {"b": 2, "c": True}, "d": [1, 2], "e": "x=y"}


@pytest.mark.parametrize("wrong", ["training.steps", "=3", "a..b=3", "a=[", "a={b: 1, b: 2}"])
def test_a_setting_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match="--set"):
        settings.parse([wrong])


def test_settings_of_the_command_line_win_over_the_matrix() -> None:
    plain = spec.check(
        {
            "name": "x",
            "matrix": {
                "flow": "realnvp",
                "dataset": "photos16",
                "factorization": "none",
                "recipe": [{"training": {"steps": 5}}, {}],
            },
            "recipe": {"training": {"steps": 7}},
        },
        "here",
    )
    changed = spec.with_overrides(plain, recipe={"training": {"steps": 9}})
    assert changed.recipe == {"training": {"steps": 9}}
    assert changed.matrix.recipe[0] == changed.matrix.recipe[1] == {"training": {"steps": 9}}
