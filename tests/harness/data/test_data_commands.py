"""lcma data list, show and verify, on a prepared set."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lcma.harness.cli import main as cli
from lcma.harness.data import load, prepare
from lcma.harness.data.manifest import write_sealed
from tests.harness.cli.conftest import output_of, refused
from tests.hostile.layouts import flip_bit, write_batches


@pytest.fixture
def root(few_photos_root: Path, in_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root that LCMA_DATA names, with a copy of photos8."""
    shutil.copytree(few_photos_root, in_tmp / "data")
    monkeypatch.setenv("LCMA_DATA", str(in_tmp / "data"))
    return in_tmp / "data"


def test_show_draws_and_describes_a_set(lcma, root: Path, in_tmp: Path) -> None:
    out = output_of(lcma("data", "show", "photos8"))
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
    out = output_of(lcma("data", "show", "photos8", "--out", "sheets/one.png", "--json"))
    facts = json.loads(out)
    counts = load("photos8", root).manifest.counts
    assert (facts["variant"], facts["counts"]["test"]) == ("u8", counts.test)
    assert [len(facts["channels"][part]) for part in ("train", "holdout", "test")] == [3, 3, 3]
    assert facts["duplicates"]["train_test"] == 0
    assert [bar["name"] for bar in facts["bars"]] == ["gaussian", "full-gaussian", "png", "webp"]
    assert sorted(path.name for path in in_tmp.iterdir()) == ["data", "sheets"]
    with Image.open(in_tmp / "sheets" / "one.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize("verb", ["show", "verify"])
def test_a_set_that_is_not_prepared_is_refused(lcma, root: Path, verb: str) -> None:
    refused(lcma("data", verb, "cifar10"), "lcma data prepare cifar10 --from PATH")
    refused(lcma("data", verb, "photo8", "--json"), "did you mean 'photos8'?")
    refused(
        lcma("data", verb, "nothere"),
        f"unknown data set 'nothere': prepared in {root}: photos8 (",
        "lcma data list shows those that can be prepared",
    )


def test_verify_names_what_is_damaged_and_goes_on(lcma, root: Path) -> None:
    digest = load("photos8", root).manifest.digest
    assert lcma("data", "verify")[:2] == (0, f"photos8 is intact: {digest}\n")
    _, out, _ = lcma("data", "verify", "photos8", "--json")
    assert [intact["name"] for intact in json.loads(out)["intact"]] == ["photos8"]
    prepare("photos16", root)
    path = root / "photos8" / "holdout.npy"
    flip_bit(path)
    code, out, err = lcma("data", "verify")
    assert (code, err.count("\n")) == (2, 1)
    assert "photos16 is intact" in out
    assert f"{path} is damaged" in err


@pytest.mark.parametrize("name", ["bars.json", "controls.json"])
def test_numbers_beside_the_images_that_were_edited_are_refused(
    lcma, root: Path, in_tmp: Path, name: str
) -> None:
    path = root / "photos8" / name
    write_sealed(path, {"digest": load("photos8", root).manifest.digest, "bits": 6.5})
    assert lcma("data", "verify")[0] == 0
    path.write_text(path.read_text().replace("6.5", "99.0"))
    line = f"lcma: {path} was changed after it was written: remove it, and it is computed again\n"
    for command in ("data verify", "launch demo --dataset photos8 --local"):
        assert lcma(*command.split()) == (2, "", line)
    assert [path.name for path in in_tmp.iterdir()] == ["data"]


def list_by_name(lcma) -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(output_of(lcma("data", "list", "--json")))}


def test_list_shows_variants_and_what_is_damaged(lcma, root: Path) -> None:
    rows = list_by_name(lcma)
    assert (rows["photos8"]["prepared"], rows["photos8"]["variant"]) == (True, "u8")
    assert not rows["cifar10"]["prepared"]
    (root / "photos8" / "manifest.json").write_text("{}")
    row = list_by_name(lcma)["photos8"]
    assert not row["prepared"]
    assert "photos8" in row["problem"]


def test_list_leads_with_prepared_sets_and_hides_other_filtered_forms(lcma, root: Path) -> None:
    prepared, others = output_of(lcma("data", "list")).split("Can be prepared:")
    assert "photos8" in prepared
    assert "prepare photos8 " not in others
    assert "lcma data prepare celeba64 --from PATH" in others
    assert "celeba64-16 --from" not in others


def test_list_and_show_tell_what_deviates_from_the_published_set(
    lcma, root: Path, tmp_path: Path
) -> None:
    prepare("cifar10-8", root, source=write_batches(tmp_path / "source"))
    out = output_of(lcma("data", "list"))
    assert "cifar10-8: " in out
    assert "of the published set" in out
    facts = json.loads(output_of(lcma("data", "show", "cifar10-8", "--json")))
    assert facts["deviation"]
    assert facts["expected"] == {"train": 45000, "holdout": 5000, "test": 10000}
    out = output_of(lcma("data", "show", "cifar10-8"))
    assert "published: 45,000 train, 5,000 holdout, 10,000 test: the counts here deviate" in out


def test_images_of_ones_own_are_listed_shown_and_verified(lcma, root: Path, sources: Path) -> None:
    command = ("data", "prepare", "mine", "--from", str(sources / "images"), "--size", "8")
    code, out, _ = lcma(*command)
    assert code == 0
    refused(lcma(*command[:-2]), "add --size S")
    refused(lcma("data", "prepare", "cifar10", *command[3:]), "cifar10 is the name of a set")
    refused(lcma("data", "prepare", "cifar10", "--from", ""), "add --from PATH")
    for words in (["--size", "8"], ["--skip-bad"], ["--from", str(sources)]):
        refused(lcma("data", "prepare", "cifar10", "--download", *words), "leave them out")
    assert re.search(r"\nfew: \d+ test images?, and every comparison", out)
    row = list_by_name(lcma)["mine"]
    assert (row["own"], row["prepared"], row["variant"]) == (True, True, "u8")
    out = output_of(lcma("data", "show", "mine"))
    assert "mine: variant u8" in out
    assert "published" not in out
    assert "mine is intact" in output_of(lcma("data", "verify"))


def test_what_a_library_prints_of_a_damaged_image_is_not_shown(
    in_tmp: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """libjpeg and libpng write to stderr directly."""
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for ending in ("jpg", "png"):
        folder = in_tmp / ending
        folder.mkdir()
        file = folder / f"a.{ending}"
        Image.fromarray(pixels).save(file)
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2 : len(raw) // 2 + 40] = bytes(40)
        file.write_bytes(raw)
        command = f"data prepare cats --size 8 --from {ending} --to data"
        with pytest.raises(SystemExit) as end:
            cli.main(command.split())
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
    refused(lcma("data", "prepare", name), "--from PATH", *files)
    assert list(in_tmp.iterdir()) == []
