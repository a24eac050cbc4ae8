"""Plug-ins outside the process that planned: in Ray's workers, and of an installed package."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "extending.md"
BLOCKS = dict(
    re.findall(r"`(\w+\.(?:py|yaml))`[^`]*?:\n\n```\w+\n(.*?)```", PAGE.read_text(), re.S)
)
ENTRY = re.findall(
    r'```toml\n(\[project.entry-points."lcma.plugins"\].*?)```', PAGE.read_text(), re.S
)
SWEEP = BLOCKS["mine.yaml"]
INSTALLED = re.sub(r"^plugins:.*\n", "", SWEEP, flags=re.M)
QUERY = "select flow, factorization, bits_per_dim from results order by 2"

pytestmark = [pytest.mark.slow, pytest.mark.ray, pytest.mark.timeout(900)]


def lcma(folder: Path, *arguments: str, packages: Path | None = None) -> str:
    """Run a command that must succeed; return its output."""
    path = os.pathsep.join(str(p) for p in (ROOT, packages) if p is not None)
    done = subprocess.run(
        [sys.executable, "-m", "lcma", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def read_rows(folder: Path, db: str, packages: Path | None = None) -> list[list[object]]:
    out = lcma(folder, "sql", QUERY, "--json", "--db", db, packages=packages)
    rows: list[list[object]] = json.loads(out)["rows"]
    return rows


def launch(folder: Path, name: str, *options: str, packages: Path | None = None) -> str:
    db = f"{name}.db"
    runs = ["--db", db, "--runs", f"{name}-runs", "--data", "data", "--no-pictures"]
    lcma(folder, "launch", "mine.yaml", *options, *runs, packages=packages)
    return db


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an installed package of the page's rules and flow."""
    source = tmp_path_factory.mktemp("source")
    package = source / "my_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "my_flow.py").write_text(BLOCKS["my_flow.py"])
    # An entry point names one module: the page's rules, and the flow beside them.
    (package / "lcma_rules.py").write_text(
        BLOCKS["my_rules.py"] + "\nfrom my_package.my_flow import affine  # noqa\n"
    )
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "my-package"\nversion = "1.0"\n' + ENTRY[0]
    )
    wheels, target = source / "wheels", source / "installed"
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels, source]
    subprocess.run(build, check=True, capture_output=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--find-links", wheels, "--target", target, "my-package"], check=True)
    return target


def test_an_installed_package_runs_with_both_executors_and_is_known_by_its_version(
    packages: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(INSTALLED)
    by_ray = read_rows(tmp_path, launch(tmp_path, "ray", packages=packages), packages)
    local = read_rows(tmp_path, launch(tmp_path, "local", "--local", packages=packages), packages)
    assert [row[:2] for row in by_ray] == [
        ["affine", name] for name in ("L", "channel", "columns", "lowest", "random-local")
    ]
    assert by_ray == local
    out = lcma(tmp_path, "sql", "select map_options from flow_trials", "--json", "--db", "ray.db")
    versions = [json.loads(row[0]) for row in json.loads(out)["rows"] if row[0]]
    assert versions
    assert all(v == {"rule": "my-package 1.0"} for v in versions)

    # Without the package and the plug-ins, the board still knows the reference row.
    (group,) = json.loads(lcma(tmp_path, "board", "--json", "--db", "ray.db"))["groups"]
    assert group["reference"] == "channel"
    differences = {row["factorization"]: row["difference"] for row in group["rows"]}
    assert all((d is None) == (name == "channel") for name, d in differences.items())
    out = lcma(tmp_path, "board", "--json", "--db", "ray.db", "--against", "columns")
    (group,) = json.loads(out)["groups"]
    assert group["reference"] == "columns"
