"""Sweep files that are wrong or hostile: one line, and nothing runs."""

from pathlib import Path

import pytest

from lcma.sweeps import spec
from lcma.sweeps.errors import UserError

GOOD = """\
name: mine
matrix: {flow: realnvp, dataset: photos16, factorization: [low, channel], budget: 100}
"""


def refusal(text: str | bytes, tmp_path: Path) -> str:
    """The one line that says what is wrong with a file of this content."""
    path = tmp_path / "mine.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        spec.load(str(path))
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message.replace(str(path), "FILE")


def test_the_good_file_is_good(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(GOOD)
    assert spec.load(str(path)).matrix.factorization == ("low", "channel")


BOMB = "a: &a [x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdef", "bcdefg"))  # noqa: B905

WRONG: dict[str, tuple[str | bytes, str]] = {
    "unknown key": (GOOD + "seed: 3\n", "FILE: unknown key `seed`: did you mean 'seeds'?"),
    "unknown inner key": (
        GOOD.replace("dataset", "datasets"),
        "FILE: unknown key `matrix.datasets`: did you mean 'dataset'? (and 1 more)",
    ),
    "missing key": ("name: mine\n", "FILE: the key `matrix` is missing"),
    "key of two lines": (GOOD + '"a\\nb": 1\n', "FILE: unknown key `a b`: known are name,"),
    "duplicate key": (GOOD + "name: other\n", "FILE, line 3: not readable as YAML: the key 'name'"),
    "duplicate inner key": (
        GOOD.replace("flow:", "dataset: x, flow:"),
        "FILE, line 2: not readable as YAML: the key 'dataset' stands twice",
    ),
    "aliases": (BOMB, "FILE, line 2: not readable as YAML: aliases (*name) are not read"),
    "empty": ("", "FILE is empty: a sweep needs at least `name` and `matrix`"),
    "comments alone": ("# nothing\n", "FILE is empty"),
    "a list": ("- 1\n", "FILE holds a list, not a mapping of keys to values"),
    "a word": ("low\n", "FILE holds a str, not a mapping of keys to values"),
    "number as key": ("1: 2\n", "FILE: every key must be a word"),
    "list as key": ("? [a]\n: 1\n", "FILE, line 1: not readable as YAML: a key must be a word"),
    "mapping as key": ("a: {{b: c}: 1}\n", "FILE, line 1: not readable as YAML: a key must be"),
    "two documents": (GOOD + "---\n" + GOOD, "FILE, line 3: not readable as YAML"),
    "not utf-8": (b"name: \xff\xfe\n", "FILE is not a text file in UTF-8"),
    "binary": (b"\x00\x01\x02\x7fELF", "FILE: not readable as YAML: unacceptable character"),
    "too large": ("# " + "x" * 10_000_000, "FILE is larger than 1,000,000 bytes"),
    "deep": ("a: " + "[" * 100_000, "FILE: not readable as YAML: nested too deeply"),
    "deep mapping": ("{a: " * 100_000, "FILE: not readable as YAML: nested too deeply"),
    "unclosed": ("a: [1, 2\n", "FILE, line 2: not readable as YAML"),
    "base 60": (
        GOOD + "seeds: 1:30\n",
        "FILE, line 3: not readable as YAML: 1:30 would be a number of base 60: write",
    ),
    "base 60 with a point": (GOOD + "a: 1:30.5\n", "FILE, line 3: not readable as YAML: 1:30.5 wo"),
    "base 8": (
        GOOD + "seeds: 010\n",
        "FILE, line 3: not readable as YAML: 010 would be a number of base 8: write a decimal one",
    ),
    "negative base 8": (GOOD + "a: [1, -0_17]\n", "FILE, line 3: not readable as YAML: -0_17 wo"),
    "long base 60": (
        GOOD + f"seeds: 1{':59' * 20_000}\n",
        "FILE, line 3: not readable as YAML: 1:59:59:59:59:59:59:... has 60001 characters",
    ),
    "long base 16": (GOOD + f"seeds: 0x{'f' * 9000}\n", "FILE, line 3: not readable as YAML: 0xff"),
    "no such day": ("a: 2020-13-45\n", "FILE: not readable as YAML: a number, date or tag"),
    "no integer": ("a: !!int ''\n", "FILE: not readable as YAML: a number, date or tag"),
    "no truth": ("a: !!bool x\n", "FILE: not readable as YAML: a number, date or tag"),
    "no time": ("a: !!timestamp x\n", "FILE: not readable as YAML: a number, date or tag"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_in_one_line(case: str, tmp_path: Path) -> None:
    text, expected = WRONG[case]
    message = refusal(text, tmp_path)
    assert message.startswith(expected)
    assert len(message) < 300


TAGS = (
    "!!python/object/apply:os.system ['touch {trap}']",
    "!!python/object/apply:subprocess.check_output [[touch, {trap}]]",
    "!!python/object/new:os.system ['touch {trap}']",
    "!!python/name:os.system",
    "!!python/module:os",
    "!custom 3",
)


@pytest.mark.parametrize("tag", TAGS)
def test_no_tag_runs_code(tag: str, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    message = refusal(f"name: {tag.format(trap=trap)}\n", tmp_path)
    assert "could not determine a constructor" in message
    assert not trap.exists()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no file .*gone.yaml: the shipped sweeps are"):
        spec.load(str(tmp_path / "gone.yaml"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*folder.yaml: Is a directory"):
        spec.load(str(tmp_path / "folder.yaml"))


def test_a_shipped_sweep_by_its_name() -> None:
    assert spec.load("demo").name == "demo"
    with pytest.raises(UserError, match="no sweep named 'demos', and no such file: did you mean"):
        spec.load("demos")
