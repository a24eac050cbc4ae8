"""Settings: laid over each other, typed on a command line, shown in a line."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lcma.sweeps import settings, spec
from lcma.sweeps.errors import UserError
from tests.refusals import catch_refusal

names = st.text("abcxyz", min_size=1, max_size=3)
nested = st.recursive(
    st.dictionaries(names, st.integers(0, 9), max_size=3),
    lambda inner: st.dictionaries(names, inner | st.integers(0, 9), max_size=3),
    max_leaves=6,
)


@given(nested, nested)
def test_the_upper_settings_win_and_the_others_stay(
    below: dict[str, Any], above: dict[str, Any]
) -> None:
    assert settings.merge(below, {}) == settings.merge({}, below) == below
    merged, upper = settings.flatten(settings.merge(below, above)), settings.flatten(above)
    assert merged.items() >= upper.items()
    for key, value in settings.flatten(below).items():
        named = any(f"{key}.".startswith(f"{k}.") or f"{k}.".startswith(f"{key}.") for k in upper)
        if not named and not _replaced(key, above):
            assert merged[key] == value


def _replaced(key: str, above: dict[str, Any]) -> bool:
    """Whether something on the way to the key, or below it, is a value or a mapping above."""
    place: Any = above
    for part in key.split("."):
        if not isinstance(place, dict) or part not in place:
            return False
        place = place[part]
    return True


@given(nested)
def test_a_shown_setting_can_be_typed(nested: dict[str, Any]) -> None:
    flat = settings.flatten(nested)
    assert settings.flatten(settings.parse(f"{k}={v}" for k, v in flat.items())) == flat


@pytest.mark.parametrize("wrong", ["training.steps", "=3", "a..b=3", "a=[", "a={b: 1, b: 2}"])
def test_a_wrong_setting_is_refused(wrong: str) -> None:
    with pytest.raises(UserError, match="--set"):
        settings.parse([wrong])
    with pytest.raises(UserError, match=r"^recipe: give a mapping"):
        settings.parse([{"training": {"steps": 5}}])  # untyped callers may


def test_two_settings_in_one_are_refused() -> None:
    two = ["training.steps=30\noptimization: {batch: 7}"]
    catch_refusal(lambda: settings.parse(two), "give each setting a --set of its own")
    assert settings.parse(["a=\n  b: 1\n  c: 2"]) == {"a": {"b": 1, "c": 2}}


def test_settings_of_the_command_line_win_over_the_matrix() -> None:
    matrix: dict[str, Any] = {"flow": "realnvp", "dataset": "photos16", "factorization": "none"}
    matrix |= {"recipe": [{"training": {"steps": 5}}, {}]}
    content = {"name": "x", "matrix": matrix, "recipe": {"training": {"steps": 7}}}
    override = {"training": {"steps": 9}}
    changed = spec.with_overrides(spec.check(content, "here"), recipe=override)
    assert changed.recipe == override
    assert changed.matrix.recipe == (override, override)
