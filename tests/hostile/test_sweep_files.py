"""Sweep files that are wrong or hostile are refused in one line, and none of their code runs."""

from pathlib import Path

import pytest

from lcma.sweeps import spec
from lcma.sweeps.errors import UserError
from tests.refusals import catch_refusal

GOOD = """\
name: mine
matrix: {flow: realnvp, dataset: photos16, factorization: [low, channel], budget: 100}
"""


BOMB = "a: &a [x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdef", "bcdefg"))  # noqa: B905

WRONG: dict[str, tuple[str | bytes, str]] = {
    "unknown key": (GOOD + "seed: 3\n", "FILE: unknown key `seed`: did you mean 'seeds'?"),
    "duplicate key": (GOOD + "name: other\n", "FILE, line 3: not readable as YAML: the key 'name'"),
    "aliases": (BOMB, "FILE, line 2: not readable as YAML: aliases (*name) are not read"),
    "empty": ("", "FILE is empty: a sweep needs at least `name` and `matrix`"),
    "a list": ("- 1\n", "FILE holds a list, not a mapping of keys to values"),
    "number as key": ("1: 2\n", "FILE: every key must be a word"),
    "not utf-8": (b"name: \xff\xfe\n", "FILE is not a text file in UTF-8"),
    "too large": ("# " + "x" * 10_000_000, "FILE is larger than 1,000,000 bytes"),
    "deep": ("a: " + "[" * 100_000, "FILE: not readable as YAML: nested too deeply"),
    "base 60": (GOOD + "seeds: 1:30\n", "FILE, line 3: not readable as YAML: 1:30 would be a numb"),
    "NUL": (GOOD + 'description: "\\0"\n', "FILE, line 3: not readable as YAML: a te"),
    "base 8": (GOOD + "seeds: 010\n", "FILE, line 3: not readable as YAML: 010 would be a number"),
    "long base 60": (
        GOOD + f"seeds: 1{':59' * 20_000}\n",
        "FILE, line 3: not readable as YAML: 1:59:59:59:59:59:59:... has 60001 characters",
    ),
    "no such day": ("a: 2020-13-45\n", "FILE: not readable as YAML: a number, date or tag"),
    **{
        tag: (f"name: {tag}\n", "FILE, line 1: not readable as YAML: could not determine a constru")
        for tag in (
            "!!python/object/apply:os.system ['touch TRAP']",
            "!!python/name:os.system",
            "!custom 3",
        )
    },
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    text, expected = WRONG[case]
    path, trap = tmp_path / "mine.yaml", tmp_path / "trap"
    path.write_bytes(text if isinstance(text, bytes) else text.replace("TRAP", str(trap)).encode())
    message = str(catch_refusal(lambda: spec.load(str(path))))
    assert len(message) < 300 + len(str(path))
    assert message.replace(str(path), "FILE").startswith(expected)
    assert not trap.exists()


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*folder.yaml: Is a directory"):
        spec.load(str(tmp_path / "folder.yaml"))
