"""Properties of all readers of files: any input is read, or refused in one line."""

import gzip
import hashlib
import json
import lzma
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lcma import load_flow
from lcma.harness.data import PreparedSet, SourceOptions, load, prepare
from lcma.harness.data.manifest import Manifest, hash_fields, read_manifest
from lcma.harness.shards import open_shards
from lcma.harness.train.checkpoint import CheckpointFolder
from lcma.sweeps import spec
from lcma.sweeps.errors import UserError
from tests.db.inspecting import execute
from tests.harness.cli.conftest import Lcma, refused
from tests.harness.show.conftest import Filler
from tests.hostile.cases import EVIL, TRAINED, change_tree, make_special
from tests.hostile.layouts import LAYOUTS, code_pickle, copy_layout, mangle

MUTATIONS = 200
"""Damaged copies of its files that each reader reads."""

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
def test_a_source_of_odd_files_is_read_or_refused(
    layout: str, sources: Path, tmp_path_factory: pytest.TempPathFactory, random: Random
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    forbidden, ran, root = folder / "forbidden", folder / "ran", folder / "root"
    forbidden.mkdir()
    (forbidden / "file").write_text("f0rb1dden")
    source = copy_layout(sources, layout, folder)
    path = random.choice(sorted(path for path in source.rglob("*") if path.is_file()))
    names = (EVIL, "a\nb", "-", "é" * 100, "\udcff", "x" * 240, "%s[]")
    damage: Callable[[], object] = random.choice(
        (
            lambda: make_special(random, path, forbidden),
            lambda: path.write_bytes(code_pickle(ran)),
            lambda: path.rename(path.with_name(f"{random.choice(names)}{path.suffix}")),
        )
    )
    damage()
    if read_or_refuse(lambda: prepare_layout(layout, folder, root)):
        assert not root.exists()
    assert not ran.exists()
    assert [path.name for path in forbidden.iterdir()] == ["file"]


def prepare_layout(layout: str, folder: Path, root: Path) -> None:
    name, place = LAYOUTS[layout]
    options = SourceOptions(size=8 if name == "cats" else None)
    prepare(name, root, source=folder / place, options=options)


# Damaged bytes


def read_damaged(files: Sequence[Path], read: Callable[[Path], object]) -> None:
    """Damage one of the files at a time, and read it: that is refused in one line, or works."""
    random = Random(0)
    for _ in range(MUTATIONS):
        path = random.choice(files)
        raw = path.read_bytes()
        path.write_bytes(mangle(random, raw))
        read_or_refuse(lambda path=path: read(path))
        path.write_bytes(raw)


def list_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_damaged_source_is_read_or_refused(layout: str, sources: Path, tmp_path: Path) -> None:
    def read(_: Path) -> None:
        shutil.rmtree(tmp_path / "root", ignore_errors=True)
        prepare_layout(layout, tmp_path, tmp_path / "root")

    source = copy_layout(sources, layout, tmp_path)
    for path in list_files(source):
        if path.suffix != ".npz" and path.stem.isdecimal() and int(path.stem) > 20:
            path.unlink()  # each image costs time again and again
    read_damaged(list_files(source), read)


def test_a_damaged_archive_in_a_sound_stream_is_read_or_refused(
    sources: Path, tmp_path: Path
) -> None:
    """The checksum of gzip finds any other damage before the archive is read."""
    (packed,) = list_files(copy_layout(sources, "cifar10-tar", tmp_path))
    archive = tmp_path / "archive.tar"
    archive.write_bytes(gzip.decompress(packed.read_bytes()))

    def read(_: Path) -> None:
        packed.write_bytes(gzip.compress(archive.read_bytes(), 0))
        shutil.rmtree(tmp_path / "root", ignore_errors=True)
        prepare_layout("cifar10-tar", tmp_path, tmp_path / "root")

    read_damaged([archive], read)


def test_a_damaged_prepared_set_is_read_or_refused(prepared: PreparedSet) -> None:
    read_damaged(list_files(prepared.folder), lambda _: load("photos8", prepared.root).verify())


def test_a_damaged_checkpoint_is_read_or_skipped(tmp_path: Path) -> None:
    """Its name has the digest of its content, so that nothing but its reader finds the damage."""
    folder = CheckpointFolder(tmp_path)
    saved = tmp_path / folder.save(10, {"step": 10, "weights": torch.zeros(3)}).name

    def read(path: Path) -> None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        path = path.rename(tmp_path / f"step-000000010.{digest}.pt")
        loaded = folder.load(at_most=10)
        assert folder.skipped == ([path.name] if loaded is None else [])
        path.unlink()

    read_damaged([saved], read)


def test_damaged_weights_are_read_or_refused(filler: Filler) -> None:
    """The database has the digest of their content, so that only their reader finds the damage."""
    weights = filler.weights("channel", 0)

    def read(path: Path) -> None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        execute(filler.url, f"UPDATE artifacts SET digest = '{digest}'")
        load_flow(filler.store, path.parent.name, runs=filler.runs)

    read_damaged([weights], read)


def test_a_damaged_sweep_file_is_read_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(yaml.safe_dump(TRAINED))
    read_damaged([path], lambda path: spec.load(str(path)))


def test_a_damaged_shard_is_read_or_refused(
    filled_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LCMA_CACHE", str(tmp_path / "cache"))
    shard = tmp_path / "shard.sqlite.xz"
    shard.write_bytes(lzma.compress(filled_path.read_bytes(), preset=0))
    read_damaged([shard], lambda path: open_shards([path]))
    assert not (tmp_path / "cache" / "reference").exists()


def test_a_damaged_database_is_read_or_refused(filled_folder: Path, lcma: Lcma) -> None:
    def read(path: Path) -> None:
        outcome = lcma("board", "--db", path)
        if outcome[0]:
            refused(outcome, path.name)
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)

    read_damaged([filled_folder / "lcma.db"], read)
