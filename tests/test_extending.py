"""The files, the sweep, the commands and the entry point of docs/extending.md work as printed."""

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
from lcma.harness.launch.plan import Plan
from lcma.harness.launch.rehearsal import rehearse_plugins
from lcma.models.factorization import make_tables, surviving_ids
from lcma.sweeps import plugins, spec
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import expand
from tests.harness.cli.conftest import refused, run_lcma
from tests.processes import ROOT, read_output, run_python

PAGE = (ROOT / "docs" / "extending.md").read_text()
FILES = dict(re.findall(r"`(\w+\.(?:py|yaml))`[^`]*?:\n\n```\w+\n(.*?)```", PAGE, re.S))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page's files."""
    folder = tmp_path_factory.mktemp("mine")
    assert list(FILES) == ["my_rules.py", "my_flow.py", "mine.yaml"]
    for name, text in FILES.items():
        (folder / name).write_text(text)
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_runs_as_printed(folder: Path) -> None:
    (commands,) = re.findall(r"```sh\n(.*?)```", PAGE, re.S)
    outputs = []
    for line in commands.splitlines():
        command, *arguments = line.split()
        assert command == "lcma"
        outputs.append(read_output("-m", "lcma", *arguments, folder=folder))
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
    lcma = partial(read_output, "-m", "lcma", folder=folder)
    launched = lcma("launch", "mine.yaml", "--local")
    assert "5 there" in launched
    board = lcma("board", "--factorization", "columns")
    assert "columns" in board
    assert "random-local" not in board
    samples = ("samples", "--count", "4")
    ended = run_python("-m", "lcma", *samples, folder=folder)
    assert ended.returncode == 2
    assert "LCMA_PLUGINS" in ended.stderr
    lcma(*samples, LCMA_PLUGINS="my_flow.py")
    commands = launched.partition("Next: ")[2].splitlines()
    assert any(f"LCMA_PLUGINS={folder}/my_flow.py lcma samples" in line for line in commands)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    variables = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PATH": path}
    for line in commands:  # as a user pastes it
        ended = subprocess.run(["sh", "-c", line], cwd=folder, env=variables, capture_output=True)
        assert ended.returncode == 0, (line, ended.stderr)
    lcma("maps", LCMA_PLUGINS="my_rules.py")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed package of the page's rules and flow."""
    source = tmp_path_factory.mktemp("source")
    package = source / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "my_flow.py").write_text(FILES["my_flow.py"])
    # An entry point names one module: the page's rules, and the flow beside them.
    (package / "lcma_rules.py").write_text(
        FILES["my_rules.py"] + "\nfrom my_package.my_flow import affine\n"
    )
    (entry_point,) = re.findall(r'```toml\n(\[project.entry-points."lcma.*?)```', PAGE, re.S)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "my-package"\nversion = "1.0"\n' + entry_point
    )
    wheels, installed = source / "wheels", source / "installed"
    read_output("-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, folder=source)
    pip = ["-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--find-links", wheels]
    read_output(*pip, "--target", installed, "my-package")
    return installed


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.timeout(900)
def test_an_installed_package_runs_with_both_executors_and_is_known_by_its_version(
    packages: Path, tmp_path: Path
) -> None:
    path = f"{ROOT / 'src'}{os.pathsep}{packages}"
    lcma = partial(read_output, "-m", "lcma", folder=tmp_path, PYTHONPATH=path)
    (tmp_path / "mine.yaml").write_text(
        re.sub(r"^plugins:.*\n", "", FILES["mine.yaml"], flags=re.M)
    )
    tables = []
    for name, options in (("ray", []), ("local", ["--local"])):
        database = ["--db", f"{name}.db"]
        places = [*database, "--runs", f"{name}-runs", "--data", "data"]
        lcma("launch", "mine.yaml", *options, *places)
        query = "select flow, factorization, bits_per_dim from results order by 2"
        tables.append(json.loads(lcma("sql", query, "--json", *database))["rows"])
    assert tables[0] == tables[1]
    assert [row[:2] for row in tables[0]] == [
        ["affine", name] for name in ("L", "channel", "columns", "lowest", "random-local")
    ]
    out = lcma("sql", "select map_options from flow_trials", "--json", "--db", "ray.db")
    versions = [json.loads(row[0]) for row in json.loads(out)["rows"] if row[0]]
    assert versions
    assert all(version == {"rule": "my-package 1.0"} for version in versions)

    # Without the package and the plug-ins, the board still knows the reference row.
    board = ["-m", "lcma", "board", "--json", "--db", "ray.db"]
    (group,) = json.loads(read_output(*board, folder=tmp_path))["groups"]
    assert group["reference"] == "channel"
    differences = {row["factorization"]: row["difference"] for row in group["rows"]}
    assert all((d is None) == (name == "channel") for name, d in differences.items())
    out = read_output(*board, "--against", "columns", folder=tmp_path)
    (group,) = json.loads(out)["groups"]
    assert group["reference"] == "columns"


def test_the_pages_rules_are_those_of_lcma_that_it_names() -> None:
    rules: dict[str, Any] = {}
    exec(FILES["my_rules.py"], rules)
    maps = np.random.RandomState(0).standard_normal((2, 3, 8, 8))
    for rule, builtin in (("columns", "keep-bd"), ("lowest", "low-global")):
        tables = make_tables(builtin, (3, 8, 8), 2, maps=maps)
        for split, (table, ids) in enumerate(
            zip(tables, surviving_ids(tables, (3, 8, 8)), strict=False)
        ):
            values = maps[split].ravel()[ids]
            stays = rules[rule](ids.shape, split + 1, 0, values)
            assert np.flatnonzero(stays).tolist() == sorted(table.kept.ravel().tolist())


NOT_FINITE = {
    "    return layers, StandardNormal()": "    layers.append(type('Far', (Logit,), {'forward': "
    "lambda self, x, generator=None: (x / 0, None)})())\n    return layers, StandardNormal()"
}
"""A change that makes the last values infinite or NaN."""

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
    "an inverse that uses values kept by forward": (
        {
            "y = torch.cat([x2": "self.last = s, t; y = torch.cat([x2",
            "return torch.cat([x1, (y2": "s, t = self.last; return torch.cat([x1, (y2",
        },
        "the inverse of layer 4 (Coupling) gives NUMBER where its input was NUMBER",
    ),
    "an inverse before values that are not finite": (
        {"(-s).exp()": "s.exp()"} | NOT_FINITE,
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
def write_sweep(in_tmp: Path) -> Iterator[Callable[..., None]]:
    """A function that writes the page's flow, with replacements, and a sweep of it."""

    def write(replacements: Mapping[str, str], **matrix: str) -> None:
        text = FILES["my_flow.py"]
        for old, new in replacements.items():
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


@pytest.mark.parametrize("case", list(WRONG_FLOWS))
def test_a_flow_whose_likelihood_or_inverse_is_wrong_is_refused(
    write_sweep: Callable[..., None], case: str
) -> None:
    replacements, reason = WRONG_FLOWS[case]
    write_sweep(replacements)
    pattern = re.escape(reason).replace("NUMBER", r"-?[\d.]+(?:e-?\d+)?")
    match = rf"the flow affine \(.*my_flow\.py\): {pattern}; correct it, see docs/"
    with pytest.raises(UserError, match=match):
        rehearse()


def test_plan_and_launch_refuse_a_wrong_flow_before_anything_is_changed(
    write_sweep: Callable[..., None], in_tmp: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sweep(WRONG_FLOWS["a log-determinant"][0])
    for command in (["plan"], ["plan", "--json"], ["launch", "--local"]):
        refused((run_lcma(*command, "mine.yaml"), *capsys.readouterr()), "the flow affine (")
    for refuse in (api.plan, partial(api.launch, local=True)):
        with pytest.raises(UserError, match=r"the flow affine \("):
            refuse("mine.yaml")
    assert {p.name for p in in_tmp.iterdir()} == {"my_flow.py", "mine.yaml"}


@pytest.mark.parametrize("factorization", ["conventional", "low", "none"])
def test_a_flow_that_is_right_passes(write_sweep: Callable[..., None], factorization: str) -> None:
    write_sweep({}, factorization=factorization)
    assert rehearse() == []


UNCHECKED = {
    "a log-determinant that is drawn": (
        {"[s, torch.zeros_like(s)]": "[s * torch.bernoulli(s * 0 + 0.5) * 2, torch.zeros_like(s)]"},
        "the log-determinant of Coupling is drawn, so it was not checked",
    ),
    "values that are not finite": (NOT_FINITE, "(Far) on: its values are not finite"),
    "a flow of one size": (
        {
            "    channels = model.channels": "    assert model.size == 32, 'only that'\n"
            "    channels = model.channels"
        },
        "was not checked: it cannot be built for 16x16 images: AssertionError: only that",
    ),
}


@pytest.mark.parametrize("case", list(UNCHECKED))
def test_what_cannot_be_checked_is_noted(write_sweep: Callable[..., None], case: str) -> None:
    replacements, ending = UNCHECKED[case]
    large = {"16: {": "32: {"}
    write_sweep(large | replacements, dataset="photos32")
    (line,) = rehearse()
    assert line.startswith("the flow affine (")
    assert line.endswith(ending)
