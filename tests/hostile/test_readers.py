"""Properties of the five readers: whatever comes, it is read, or refused in one line."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcma import db
from lcma.harness.data import Prepared, SourceOptions, prepare
from lcma.harness.data.manifest import Manifest, hash_fields, read_manifest
from lcma.sweeps import spec, strict_yaml
from lcma.sweeps.errors import UserError
from tests.db.conftest import SqliteTemplates
from tests.harness.conftest import SMALL
from tests.hostile.cases import (
    EVIL,
    SECRETS,
    VALUES,
    change_key,
    change_sql,
    change_tree,
    list_keys,
    make_special,
    make_url,
)
from tests.hostile.layouts import LAYOUTS, code_pickle, copy_layout, mangle_file

many = settings(max_examples=200, deadline=None)
few = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
randoms = st.integers(0, 2**32).map(Random)


def taken_or_refused(call: Callable[[], object]) -> str:
    """Call it, and return what it was refused with, in one line, or nothing."""
    said = ""
    try:
        call()
    except UserError as error:
        said = str(error) or "nothing"
    assert said != "nothing"
    assert "\n" not in said
    return said


# Sweep files

PIECES = """\
!!int |!!float |!!set |!!map |!!binary |!!omap |!!null |<<: |a: |- |name|0x1|1e5|.nan|2020-01-01|\
&a |*a |? |%YAML 1.1"""
fragments = st.sampled_from([*"[]{}:,-?&*!|>'\"#%@`~\n\t ", *PIECES.split("|")])


@given(st.lists(fragments, max_size=25).map("".join) | st.text(max_size=40))
@many
def test_any_text_is_a_mapping_or_a_user_error(text: str) -> None:
    found: list[dict[str, Any]] = []
    refused = taken_or_refused(lambda: found.append(strict_yaml.parse(text, "here")))
    assert refused.startswith("here" if not found else "")
    assert all(isinstance(key, str) for tree in found for key in tree)


@given(st.sampled_from(list_keys()), st.sampled_from(VALUES))
@many
def test_every_key_takes_or_refuses_values_of_every_type(key: tuple[str, ...], value: Any) -> None:
    taken_or_refused(lambda: spec.check(change_key(SMALL, key, value), "here"))


# Manifests


@given(randoms)
@few
def test_any_change_of_a_manifest_is_read_or_refused(photos8: Prepared, random: Random) -> None:
    fields = change_tree(random, photos8.manifest.model_dump(mode="json"))
    path = photos8.root / "changed.json"
    with suppress(ValueError):  # numbers that JSON has not
        path.write_text(json.dumps({**fields, "seal": hash_fields(fields)}))
        found: list[Manifest] = []
        taken_or_refused(lambda: found.append(read_manifest(path)))
        assert all(manifest.name for manifest in found)
        path.write_text(json.dumps({**fields, "seal": "0" * 64}))
        assert taken_or_refused(lambda: read_manifest(path))


# Sources


@pytest.mark.parametrize("layout", LAYOUTS)
@given(randoms)
@few
def test_a_damaged_source_is_read_or_refused(
    layout: str, sources: Path, tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    here = tmp_path_factory.mktemp("damaged")
    (here / "forbidden").mkdir()
    (here / "forbidden" / "file").write_text("f0rb1dden")
    folder = copy_layout(sources, layout, here)
    path = random.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    names = (EVIL, "a\nb", "-", "é" * 100, "\udcff", "x" * 240, "%s[]")
    accident: Callable[[], object] = random.choice(
        (
            lambda: mangle_file(random, path),
            lambda: mangle_file(random, path),
            lambda: make_special(random, path, here / "forbidden"),
            lambda: path.write_bytes(code_pickle(here / "ran")),
            lambda: path.rename(path.with_name(f"{random.choice(names)}{path.suffix}")),
        )
    )
    accident()
    name, where = LAYOUTS[layout]
    root, options = here / "root", SourceOptions(size=8 if name == "cats" else None)
    if taken_or_refused(lambda: prepare(name, root, source=here / where, options=options)):
        assert not root.exists()
    assert not (here / "ran").exists()
    assert [path.name for path in (here / "forbidden").iterdir()] == ["file"]


# SQLite files


@given(randoms, st.booleans())
@few
def test_a_damaged_database_is_read_or_refused(
    sqlite_templates: SqliteTemplates,
    tmp_path_factory: pytest.TempPathFactory,
    random: Random,
    by_rows: bool,
) -> None:
    path = sqlite_templates.copy("filled", tmp_path_factory.mktemp("damaged"))
    if by_rows:
        change_sql(random, path)
    else:
        mangle_file(random, path)
    before = path.read_bytes()
    if taken_or_refused(lambda: db.connect(str(path), create=False).view("results")):
        assert path.read_bytes() == before


# URLs


@given(randoms)
@many
def test_no_url_is_repeated_with_its_secrets(random: Random) -> None:
    url = make_url(random)
    if not url.startswith(("sqlite:///", "sqlite+pysqlite:///")):
        refused = taken_or_refused(lambda: db.connect(url, create=False))
        assert refused
        assert not any(secret in refused for secret in SECRETS)
