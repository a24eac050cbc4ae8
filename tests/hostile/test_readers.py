"""Properties of the readers of images and manifests: any input is read or refused."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcma.harness.data import PreparedSet, SourceOptions, prepare
from lcma.harness.data.manifest import Manifest, hash_fields, read_manifest
from lcma.sweeps.errors import UserError
from tests.hostile.cases import EVIL, change_tree, make_special
from tests.hostile.layouts import LAYOUTS, code_pickle, copy_layout, mangle_file

few = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
randoms = st.integers(0, 2**32).map(Random)


def read_or_refuse(read: Callable[[], object]) -> str:
    """Call a reader; return the line of its refusal, '' if there was none."""
    message = ""
    try:
        read()
    except UserError as error:
        message = str(error) or "\n"
    assert "\n" not in message
    return message


# Manifests


@given(randoms)
@few
def test_any_change_of_a_manifest_is_read_or_refused(photos8: PreparedSet, random: Random) -> None:
    fields = change_tree(random, photos8.manifest.model_dump(mode="json"))
    path = photos8.root / "changed.json"
    path.write_text(json.dumps({**fields, "seal": hash_fields(fields)}))
    manifests: list[Manifest] = []
    read_or_refuse(lambda: manifests.append(read_manifest(path)))
    assert all(manifest.name for manifest in manifests)
    path.write_text(json.dumps({**fields, "seal": "0" * 64}))
    assert read_or_refuse(lambda: read_manifest(path))


# Sources


@pytest.mark.parametrize("layout", LAYOUTS)
@given(randoms)
@few
def test_a_damaged_source_is_read_or_refused(
    layout: str, sources: Path, tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    forbidden, ran, root = folder / "forbidden", folder / "ran", folder / "root"
    forbidden.mkdir()
    (forbidden / "file").write_text("f0rb1dden")
    source = copy_layout(sources, layout, folder)
    path = random.choice(sorted(path for path in source.rglob("*") if path.is_file()))
    names = (EVIL, "a\nb", "-", "é" * 100, "\udcff", "x" * 240, "%s[]")
    damage: Callable[[], object] = random.choice(
        (
            lambda: mangle_file(random, path),
            lambda: mangle_file(random, path),
            lambda: make_special(random, path, forbidden),
            lambda: path.write_bytes(code_pickle(ran)),
            lambda: path.rename(path.with_name(f"{random.choice(names)}{path.suffix}")),
        )
    )
    damage()
    name, place = LAYOUTS[layout]
    options = SourceOptions(size=8 if name == "cats" else None)
    if read_or_refuse(lambda: prepare(name, root, source=folder / place, options=options)):
        assert not root.exists()
    assert not ran.exists()
    assert [path.name for path in forbidden.iterdir()] == ["file"]
