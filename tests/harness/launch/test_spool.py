"""What a spool file holds after its writer died at any byte, and whose it is."""

import dataclasses
import math
import multiprocessing
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lcma import db
from lcma.harness.work.spool import (
    MAGIC,
    Ending,
    Spool,
    deliver_leftovers,
    find_left_spools,
    pack_record,
    read_spool,
)
from tests.db.conftest import contribution_map, index_table
from tests.db.conftest import result as make_result
from tests.harness.launch.conftest import fill

CLAIM = db.Claim("j" * 64, 7, 3, 40, "a launch")
POINTS = [
    db.Metric(name, step, value)
    for step, value in enumerate((3.25, math.nan, math.inf, 0.1 + 0.2, -5e-324), start=1)
    for name in ("train", "holdout")
]


def ending() -> Ending:
    """One with everything that an ending can have, odd values too."""
    odd = contribution_map(split=1)
    odd = dataclasses.replace(
        odd, values=odd.values[:, ::-1], mean_log_det=float(np.float64(1) / 3)
    )
    odd.standard_errors[0, 0, 0] = np.nan
    return Ending(
        outcome="done",
        message="an odd \0 message \udc80\nof two lines",
        log="first line\nlast \udc80 line",
        first_step=10,
        last_step=20,
        cost=db.Cost(seconds=1.5, cpu_seconds=1.25, peak_memory=2**40),
        result=make_result("t", 0.1 + 0.2),
        maps=(odd,),
        tables=(index_table("t", 1, np.arange(48).reshape(3, 4, 4) % 2 == 0),),
        artifacts=(db.Artifact(kind="weights", path="a/b", bytes=12, digest="e", place="h:/r"),),
        metrics=tuple(POINTS),
    )


@pytest.fixture
def store(tmp_path: Path) -> db.Store:
    return db.Store(db.locate(str(tmp_path / "results.db")))


def test_an_ending_comes_back_to_the_bit(whole: bytes) -> None:
    read = read_spool(whole)
    assert len(read.metrics) == len(POINTS)
    given, found = ending(), read.ending
    assert pack_record(found) == pack_record(given)
    assert found.message == given.message
    assert found.result == given.result
    assert np.array_equal(found.maps[0].values, given.maps[0].values)
    assert found.maps[0].standard_errors.tobytes() == given.maps[0].standard_errors.tobytes()
    assert found.maps[0].digest == given.maps[0].digest
    assert np.array_equal(found.tables[0].kept, given.tables[0].kept)
    assert [str(m.value) for m in found.metrics] == [str(m.value) for m in POINTS]


def written(store: db.Store, spools: Path) -> bytes:
    with Spool(store, CLAIM) as made:
        for at in range(0, len(POINTS), 2):
            made.metrics(POINTS[at : at + 2])
        made.end(ending())
        (file,) = spools.iterdir()
        return file.read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a file of an attempt that came to its end."""
    root = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LCMA_SPOOL", str(root / "spools"))
        return written(db.Store(db.locate(str(root / "results.db"))), root / "spools")


@given(share=st.floats(0, 1), noise=st.binary(max_size=20))
@settings(max_examples=200)
def test_a_file_cut_at_any_byte_holds_all_that_was_whole(
    whole: bytes, share: float, noise: bytes
) -> None:
    """Behind the cut may be nothing, or what the disk had there before."""
    cut = min(int(share * len(whole)), len(whole) - 1)
    assume(not (whole[:cut] + noise).startswith(whole))
    found = read_spool(whole[:cut] + noise)
    if found is None:
        assert cut < len(MAGIC) + 300
        return
    assert found.claim == CLAIM
    assert found.ending is None
    told = [str(point) for point in POINTS]
    assert [str(point) for point in found.metrics] == told[: len(found.metrics)]
    assert len(found.metrics) % 2 == 0
    more = read_spool(whole[: cut + 1])
    assert len(more.metrics) >= len(found.metrics)


@given(at=st.integers(0), bit=st.integers(0, 7))
def test_a_flipped_bit_ends_what_is_believed(whole: bytes, at: int, bit: int) -> None:
    raw = bytearray(whole)
    raw[at % len(raw)] ^= 1 << bit
    found = read_spool(bytes(raw))
    assert found is None or found.claim == CLAIM
    assert found is None or found.ending is None


def test_what_is_acknowledged_is_cut_off(store: db.Store, spools: Path) -> None:
    with Spool(store, CLAIM) as made:
        made.metrics(POINTS[:2])
        made.acknowledge()
        made.metrics(POINTS[4:5])
        (file,) = spools.iterdir()
        found = read_spool(file.read_bytes())
        assert list(found.metrics) == POINTS[4:5]
        made.end(ending())
        made.acknowledge()  # of a heartbeat that was on its way: the ending stays
        found = read_spool(file.read_bytes())
        assert found.ending is not None
        made.discard()
    assert list(spools.iterdir()) == []


def test_a_spool_is_left_when_its_writer_is_gone_and_not_before(
    store: db.Store, spools: Path
) -> None:
    with Spool(store, CLAIM) as made:
        made.metrics(POINTS[:1])
        assert _count() == 0
        with multiprocessing.get_context("fork").Pool(1) as pool:
            assert pool.apply(_count) == 0
    ((_, found),) = find_left_spools()
    assert (found.place, found.claim) == (store.name, CLAIM)
    assert list(found.metrics) == POINTS[:1]


def _count() -> int:
    return len(list(find_left_spools()))


def test_one_that_died_before_it_said_whose_it_is_leaves_nothing(
    store: db.Store, spools: Path
) -> None:
    with Spool(store, CLAIM):
        (file,) = spools.iterdir()
        raw = file.read_bytes()
    for cut in (0, 5, len(MAGIC), len(raw) - 1):
        file.write_bytes(raw[:cut])
        assert list(find_left_spools()) == []
        assert not file.exists()


def test_files_of_another_version_another_host_and_of_others_are_left_alone(
    store: db.Store, spools: Path
) -> None:
    with Spool(store, CLAIM) as made:
        made.end(ending())
        (file,) = spools.iterdir()
        raw = file.read_bytes()
    file.write_bytes(raw.replace(b"spool 1", b"spool 2"))
    other = file.with_name(file.name.replace(".spool", "-other.spool"))
    other.write_bytes(b"lcma spool 2\nframed in another way")
    file.with_name("elsewhere-1-1-1.spool").write_bytes(raw)
    file.with_name("notes.txt").write_bytes(raw)
    before = {path.name: path.read_bytes() for path in spools.iterdir()}
    assert list(find_left_spools()) == []
    assert {path.name: path.read_bytes() for path in spools.iterdir()} == before


@pytest.mark.parametrize(
    "text", [b"[" * 100000, b"[1]", b"{", b"\xff", b"9" * 5000, b'{"ending": [], "metrics": [1]}']
)
def test_a_record_that_is_none_ends_what_is_believed(
    store: db.Store, spools: Path, text: bytes
) -> None:
    with Spool(store, CLAIM) as made:
        made.metrics(POINTS[:1])
        (file,) = spools.iterdir()
    record = len(text).to_bytes(4, "little") + text
    frame = len(record).to_bytes(4, "little") + zlib.crc32(record).to_bytes(4, "little")
    whole = file.read_bytes()
    for raw in (MAGIC + frame + record, whole + frame + record):
        file.write_bytes(raw)
        assert [list(found.metrics) for _, found in find_left_spools()] in ([], [POINTS[:1]])


def test_no_link_and_no_file_of_another_user_is_believed(
    store: db.Store, spools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Spool(store, CLAIM) as made:
        made.metrics(POINTS[:1])
        (file,) = spools.iterdir()
    assert len(list(find_left_spools())) == 1
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
        assert list(find_left_spools()) == []
    moved = file.rename(tmp_path / "elsewhere")
    file.symlink_to(moved)
    assert list(find_left_spools()) == []
    assert moved.exists()


def test_what_is_for_another_database_waits_for_it(
    store: db.Store, spools: Path, tmp_path: Path
) -> None:
    with Spool(store, CLAIM) as made:
        made.metrics(POINTS[:1])
    said: list[str] = []
    deliver_leftovers(db.connect(str(tmp_path / "other.db")), said.append)
    assert len(list(spools.iterdir())) == 1
    deliver_leftovers(db.connect(store.url), said.append)
    assert list(spools.iterdir()) == []
    assert said == [], "points without an ending are measured again"


def test_a_folder_that_cannot_be_written_is_told_and_stops_nothing(
    store: db.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv("LCMA_SPOOL", str(blocked / "spools"))
    with Spool(store, CLAIM) as made:
        made.metrics(POINTS)
        made.acknowledge()
        told = made.end(dataclasses.replace(ending(), message="why it ended"))
        made.discard()
    first, last = told.message.splitlines()
    assert str(blocked) in first
    assert "LCMA_SPOOL" in first
    assert last == "why it ended"


def test_what_a_full_disk_tore_hides_nothing_behind_it(
    store: db.Store, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LCMA_SPOOL", str(small_disk))
    with Spool(store, CLAIM) as made:
        (file,) = small_disk.iterdir()
        filler = fill(small_disk)
        made.metrics(POINTS * 100)
        assert "No space left on device" in made.problem
        filler.unlink()
        made.metrics(POINTS[:1])
        made.end(ending())
        found = read_spool(file.read_bytes())
    assert list(found.metrics) == POINTS[:1]
    assert found.ending is not None


def test_no_password_is_written(spools: Path, tmp_path: Path) -> None:
    url = "postgresql://me:s3cret@host/lcma?sslpassword=s3cret&options=-csearch_path%3Dours"
    with Spool(db.Store(db.locate(url)), CLAIM):
        (file,) = spools.iterdir()
        raw = file.read_bytes()
    assert b"s3cret" not in raw
    assert b"search_path=ours" in raw, "another schema is another place"
