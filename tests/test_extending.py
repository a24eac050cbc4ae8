"""The files, the sweep and the commands of docs/extending.md work as printed."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcma import db
from lcma.harness import api
from lcma.harness.cli import main as cli
from lcma.harness.launch.plan import Plan
from lcma.harness.launch.rehearsal import rehearse_plugins
from lcma.models.factorization import make_tables, surviving_ids
from lcma.sweeps import plugins, spec
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import expand

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
ROOT = PAGE.parents[1]


def lcma(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lcma", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")} | variables,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files."""
    folder = tmp_path_factory.mktemp("mine")
    blocks = re.findall(r"`(\w+\.(?:py|yaml))`[^`]*?:\n\n```\w+\n(.*?)```", PAGE.read_text(), re.S)
    assert [name for name, _ in blocks] == ["my_rules.py", "my_flow.py", "mine.yaml"]
    for name, text in blocks:
        (folder / name).write_text(text)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_runs_as_printed(folder: Path) -> None:
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.S)
    outputs = []
    for line in commands.splitlines():
        command, *arguments = line.split()
        assert command == "lcma"
        done = lcma(folder, *arguments)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert f"Loaded plug-in {folder}/my_rules.py: factorization columns" in outputs[0]
    assert f"Loaded plug-in {folder}/my_flow.py: flow affine" in outputs[0]
    query = "select flow, factorization, budget, bits_per_dim from results"
    database = db.connect(str(folder / "lcma.db"), create=False).database
    rows = database.query(query, limit=None, timeout=10).rows
    assert {tuple(row[:3]) for row in rows} == {
        ("affine", "channel", None),
        ("affine", "columns", None),
        ("affine", "random-local", None),
        ("affine", "L", 10),
        ("affine", "lowest", 10),
    }
    assert len({row[3] for row in rows}) == 5
    again = lcma(folder, "launch", "mine.yaml", "--local", "--no-pictures")
    assert "5 there" in again.stdout

    chosen = lcma(folder, "board", "--factorization", "columns")
    assert chosen.returncode == 0, chosen.stderr
    assert "columns" in chosen.stdout
    assert "random-local" not in chosen.stdout
    without = lcma(folder, "samples", "--count", "4")
    assert without.returncode == 2
    assert "LCMA_PLUGINS" in without.stderr
    drawn = lcma(folder, "samples", "--count", "4", LCMA_PLUGINS="my_flow.py")
    assert drawn.returncode == 0, drawn.stderr
    following = again.stdout.partition("Next: ")[2].splitlines()
    assert any(f"LCMA_PLUGINS={folder}/my_flow.py lcma samples" in line for line in following)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": path}
    for line in following:  # as a user pastes it
        done = subprocess.run(["sh", "-c", line], cwd=folder, env=variables, capture_output=True)
        assert done.returncode == 0, (line, done.stderr)
    assert lcma(folder, "maps", LCMA_PLUGINS="my_rules.py").returncode == 0


def test_its_rules_are_those_of_lcma_that_it_names(folder: Path) -> None:
    rules: dict[str, Any] = {}
    exec((folder / "my_rules.py").read_text(), rules)
    maps = np.random.RandomState(0).standard_normal((2, 3, 8, 8))
    for rule, builtin in (("columns", "keep-bd"), ("lowest", "low-global")):
        tables = make_tables(builtin, (3, 8, 8), 2, maps=maps)
        for split, (table, ids) in enumerate(
            zip(tables, surviving_ids(tables, (3, 8, 8)), strict=False)
        ):
            values = maps[split].ravel()[ids]
            stays = rules[rule](ids.shape, split + 1, 0, values)
            assert np.flatnonzero(stays).tolist() == sorted(table.kept.ravel().tolist())


FAR = {
    "    return layers, StandardNormal()": "    layers.append(type('Far', (Logit,), {'forward': "
    "lambda self, x, generator=None: (x / 0, None)})())\n    return layers, StandardNormal()"
}
"""Changes that make the last values infinite or NaN."""

WRONG_FLOWS = {
    "a log-determinant": (
        {"cat([s, torch.zeros_like(s)]": "cat([2 * s, torch.zeros_like(s)]"},
        "layer 4 (Coupling) reports a log-determinant of NUMBER nats where its Jacobian has NUMBER",
    ),
    "of preprocessing": (
        {
            "Logit()]": "type('Own', (Logit,), {'forward': lambda self, x, generator=None: "
            "(Logit.forward(self, x)[0], None)})()]"
        },
        "layer 2 (Own) reports a log-determinant of 0 nats where its Jacobian has NUMBER",
    ),
    "one number for an image": (
        {"torch.cat([s, torch.zeros_like(s)], dim=1)": "s.sum((1, 2, 3), keepdim=True)"},
        "layer 4 (Coupling) reports a contribution (1, 1, 1) for an output (12, 4, 4): give one "
        "for each dimension",
    ),
    "a prior": (
        {
            "return layers, StandardNormal()": "return layers, type('Own', (StandardNormal,), "
            "{'log_prob': lambda self, z, kept: 1 + StandardNormal.log_prob(self, z)})()"
        },
        "the last prior, a map of normal noise, reports a log-determinant of -96 nats where its "
        "Jacobian has 0",
    ),
    "an inverse by what forward left": (
        {
            "y = torch.cat([x2": "self.last = s, t; y = torch.cat([x2",
            "return torch.cat([x1, (y2": "s, t = self.last; return torch.cat([x1, (y2",
        },
        "the inverse of layer 4 (Coupling) gives NUMBER where its input was NUMBER",
    ),
    "an inverse before values that are not finite": (
        {"(-s).exp()": "s.exp()"} | FAR,
        "the inverse of layer 4 (Coupling) gives NUMBER where its input was NUMBER",
    ),
    "no inverse": (
        {"def inverse(": "def back("},
        "its check in float64 fails: TypeError: Coupling has no inverse",
    ),
    "an inverse that ends the program": (
        {"y2, x1 = y": "raise SystemExit; y2, x1 = y"},
        "its check in float64 fails: SystemExit",
    ),
}


@pytest.fixture
def sweep_of_flow(folder: Path, in_tmp: Path) -> Iterator[Callable[..., None]]:
    """A function that writes the page's flow, with replacements, and a sweep of it."""

    def write(replaced: Mapping[str, str], **matrix: str) -> None:
        text = (folder / "my_flow.py").read_text()
        for old, new in replaced.items():
            assert old in text
            text = text.replace(old, new)
        Path("my_flow.py").write_text(text)
        cells = {"flow": "affine", "dataset": "photos8", "factorization": "conventional"} | matrix
        cells |= {"budget": 10} if cells["factorization"] == "low" else {}
        content = {"name": "mine", "plugins": "my_flow.py", "matrix": cells}
        Path("mine.yaml").write_text(json.dumps(content))

    yield write
    plugins.unload()


def rehearse() -> list[str]:
    return rehearse_plugins(Plan(expand(spec.load("mine.yaml")), (), ()))


@pytest.mark.parametrize("wrong", list(WRONG_FLOWS))
def test_a_flow_whose_likelihood_or_inverse_is_wrong_is_refused(
    sweep_of_flow: Callable[..., None], wrong: str
) -> None:
    replaced, reason = WRONG_FLOWS[wrong]
    sweep_of_flow(replaced)
    pattern = re.escape(reason).replace("NUMBER", r"-?[\d.]+(?:e-?\d+)?")
    match = rf"the flow affine \(.*my_flow\.py\): {pattern}; correct it, see docs/"
    with pytest.raises(UserError, match=match):
        rehearse()


def test_a_plan_refuses_a_wrong_flow_as_its_launch_does_before_anything_is_changed(
    sweep_of_flow: Callable[..., None], in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep_of_flow(WRONG_FLOWS["a log-determinant"][0])
    lines = []
    for command in (["plan"], ["plan", "--json"], ["launch", "--local"]):
        with pytest.raises(SystemExit) as end:
            cli.main([command[0], "mine.yaml", *command[1:]])
        assert end.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        lines.append(err)
    (line,) = set(lines)
    assert "the flow affine (" in line
    for refuse in (api.plan, partial(api.launch, local=True)):
        with pytest.raises(UserError, match=r"the flow affine \("):
            refuse("mine.yaml")
    assert {p.name for p in in_tmp.iterdir()} == {"my_flow.py", "mine.yaml"}


@pytest.mark.parametrize("factorization", ["conventional", "low", "none"])
def test_a_flow_that_is_right_passes(
    sweep_of_flow: Callable[..., None], factorization: str
) -> None:
    sweep_of_flow({}, factorization=factorization)
    assert rehearse() == []


UNCHECKED = {
    "a log-determinant that is drawn": (
        {"[s, torch.zeros_like(s)]": "[s * torch.bernoulli(s * 0 + 0.5) * 2, torch.zeros_like(s)]"},
        "the log-determinant of Coupling is drawn, so it was not checked",
    ),
    "values that are not finite": (FAR, "(Far) on: its values are not finite"),
    "a flow of one size": (
        {
            "    channels = model.channels": "    assert model.size == 32, 'only that'\n"
            "    channels = model.channels"
        },
        "was not checked: it cannot be built for 16x16 images: AssertionError: only that",
    ),
}


@pytest.mark.parametrize("case", list(UNCHECKED))
def test_what_cannot_be_checked_is_said(sweep_of_flow: Callable[..., None], case: str) -> None:
    replaced, ending = UNCHECKED[case]
    large = {"16: {": "32: {"}
    sweep_of_flow(large | replaced, dataset="photos32")
    (line,) = rehearse()
    assert line.startswith("the flow affine (")
    assert line.endswith(ending)
