"""lcma data list, show and verify, on a prepared set."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lcma.harness.cli import main as cli
from lcma.harness.data import SourceOptions, load, prepare
from lcma.harness.data.manifest import write_sealed


@pytest.fixture
def root(few_photos_root: Path, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root that LCMA_DATA names, with a copy of photos8."""
    shutil.copytree(few_photos_root, in_tmp / "data")
    monkeypatch.setenv("LCMA_DATA", str(in_tmp / "data"))
    return in_tmp / "data"


@pytest.fixture
def lcma(capsys: pytest.CaptureFixture[str]):
    def lcma(*arguments: str) -> tuple[int, str, str]:
        try:
            cli.main(["data", *arguments])
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return lcma


def test_show_draws_and_says_what_a_set_is(lcma, root: Path, in_tmp: Path) -> None:
    code, out, _ = lcma("show", "photos8")
    assert code == 0
    manifest = load("photos8", root).manifest
    for words in (manifest.digest, manifest.preprocessing, manifest.source.verdict, "0..255"):
        assert words in out
    assert "bar gaussian" in out
    assert "copies of an earlier image" in out
    with Image.open(in_tmp / "lcma-pictures" / "photos8.png") as picture:
        assert picture.size[0] > 16 * 64
        colours = picture.convert("RGB").getcolors(maxcolors=2**24)
        assert len(colours or ()) > 1000, "it shows photographs"


def test_show_as_json_into_another_file(lcma, root: Path, in_tmp: Path) -> None:
    code, out, _ = lcma("show", "photos8", "--out", "sheets/one.png", "--json")
    assert code == 0
    found = json.loads(out)
    counts = load("photos8", root).manifest.counts
    assert (found["variant"], found["counts"]["test"]) == ("u8", counts.test)
    assert [len(found["channels"][p]) for p in ("train", "holdout", "test")] == [3, 3, 3]
    assert found["duplicates"]["train_test"] == 0
    assert [b["name"] for b in found["bars"]] == ["gaussian", "full-gaussian", "png", "webp"]
    assert sorted(p.name for p in in_tmp.iterdir()) == ["data", "sheets"]
    with Image.open(in_tmp / "sheets" / "one.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize("verb", ["show", "verify"])
def test_a_set_that_is_not_prepared_is_refused(lcma, root: Path, verb: str) -> None:
    code, out, error = lcma(verb, "cifar10")
    assert (code, out) == (2, "")
    assert "lcma data prepare cifar10 --from PATH" in error
    code, _, error = lcma(verb, "photo8")
    assert code == 2
    assert "did you mean 'photos8'?" in error
    code, _, error = lcma(verb, "nothere")
    assert code == 2
    assert f"unknown data set 'nothere': prepared in {root}: photos8 (" in error
    assert "lcma data list shows those that can be prepared" in error


def test_verify_names_what_is_damaged_and_goes_on(lcma, root: Path) -> None:
    code, out, _ = lcma("verify")
    assert (code, out) == (0, f"photos8 is intact: {load('photos8', root).manifest.digest}\n")
    code, out, _ = lcma("verify", "photos8", "--json")
    assert [one["name"] for one in json.loads(out)["intact"]] == ["photos8"]
    prepare("photos16", root)
    path = root / "photos8" / "holdout.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    code, out, error = lcma("verify")
    assert code == 2
    assert "photos16 is intact" in out
    assert len(error.splitlines()) == 1
    assert f"{path} is damaged" in error


@pytest.mark.parametrize("name", ["bars.json", "controls.json"])
def test_numbers_beside_the_images_that_were_edited_are_refused(
    lcma, root: Path, in_tmp: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = root / "photos8" / name
    write_sealed(path, {"digest": load("photos8", root).manifest.digest, "bits": 6.5})
    assert lcma("verify")[0] == 0
    path.write_text(path.read_text().replace("6.5", "99.0"))
    line = f"lcma: {path} was changed after it was written: remove it, and it is computed again\n"
    assert lcma("verify") == (2, "", line)
    with pytest.raises(SystemExit) as end:
        cli.main(["launch", "demo", "--dataset", "photos8", "--local"])
    assert (end.value.code, capsys.readouterr().err) == (2, line)
    assert [one.name for one in in_tmp.iterdir()] == ["data"]


def test_list_shows_variants_and_what_is_damaged(lcma, root: Path) -> None:
    _, out, _ = lcma("list", "--json")
    rows = {row["name"]: row for row in json.loads(out)}
    assert (rows["photos8"]["prepared"], rows["photos8"]["variant"]) == (True, "u8")
    assert not rows["cifar10"]["prepared"]
    (root / "photos8" / "manifest.json").write_text("{}")
    _, out, _ = lcma("list", "--json")
    row = next(row for row in json.loads(out) if row["name"] == "photos8")
    assert not row["prepared"]
    assert "photos8" in row["problem"]


def test_list_leads_with_what_is_prepared_and_hides_filtered_forms_that_are_not(
    lcma, root: Path
) -> None:
    _, out, _ = lcma("list")
    prepared, left = out.split("Can be prepared:")
    assert "photos8" in prepared
    assert "prepare photos8 " not in left
    assert "lcma data prepare celeba64 --from PATH" in left
    assert "celeba64-16 --from" not in left


def test_list_and_show_tell_what_deviates_from_the_published_set(
    lcma, root: Path, tmp_path: Path, make_batches
) -> None:
    prepare("cifar10-8", root, source=make_batches(tmp_path / "source"))
    _, out, _ = lcma("list")
    assert "cifar10-8: " in out
    assert "of the published set" in out
    code, out, _ = lcma("show", "cifar10-8", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["deviation"]
    assert found["expected"] == {"train": 45000, "holdout": 5000, "test": 10000}
    _, out, _ = lcma("show", "cifar10-8")
    assert "published: 45,000 train, 5,000 holdout, 10,000 test: the counts here deviate" in out


def test_images_of_ones_own_are_listed_shown_and_verified(lcma, root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index in range(40):
        Image.new("RGB", (9, 10), (index * 6, 255 - index, index)).save(folder / f"{index}.png")
    prepare("mine", root, source=folder, options=SourceOptions(size=8))
    code, out, _ = lcma("prepare", "mine", "--from", str(folder), "--size", "8")
    assert code == 0
    assert re.search(r"\nfew: \d+ test images?, and every comparison", out)
    _, out, _ = lcma("list", "--json")
    row = next(row for row in json.loads(out) if row["name"] == "mine")
    assert (row["own"], row["prepared"], row["variant"]) == (True, True, "u8")
    code, out, _ = lcma("show", "mine")
    assert code == 0
    assert "mine: variant u8" in out
    assert "published" not in out
    _, out, _ = lcma("verify")
    assert "mine is intact" in out


def test_what_a_library_prints_of_a_damaged_image_is_not_shown(
    in_tmp: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """libjpeg and libpng write to stderr directly; only what Python writes there is shown."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for ending in ("jpg", "png"):
        folder = in_tmp / ending
        folder.mkdir()
        file = folder / f"a.{ending}"
        Image.fromarray(pixels).save(file)
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2 : len(raw) // 2 + 40] = bytes(40)
        file.write_bytes(raw)
        command = ["data", "prepare", "cats", "--size", "8", "--from", ending, "--to", "data"]
        with pytest.raises(SystemExit) as end:
            cli.main(command)
        out, err = capfd.readouterr()
        assert (end.value.code, out, err.count("\n")) == (2, "", 1), err


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("cifar10", ("data_batch_1 to 5", "test_batch", "cifar-10-python.tar.gz", "or --download")),
        ("imagenet32", ("train_data_batch_1.npz to 10", "val_data.npz", "cannot be fetched")),
        ("imagenet64-png", ("train_64x64", "valid_64x64", "cannot be fetched with --download")),
        ("celeba64", ("img_align_celeba", "list_eval_partition.txt", "cannot be fetched")),
    ],
)
def test_preparing_without_the_files_names_them(
    lcma, in_tmp: Path, name: str, files: tuple[str, ...]
) -> None:
    code, out, error = lcma("prepare", name)
    assert (code, out, error.count("\n")) == (2, "", 1)
    for words in ("--from PATH", *files):
        assert words in error
    assert list(in_tmp.iterdir()) == []
