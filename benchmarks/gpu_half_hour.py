"""Measurements of lcma on a GPU in half an hour, each with the expected figure.

Run `make gpu-half-hour`, or `python -m benchmarks.gpu_half_hour [SECTION ...]` where everything is
installed; this needs no network. A row that fails, or has no time left, is noted in a line, and the
others go on. The results are written as JSON and as Markdown tables for benchmarks/README.md. The
exit code is 1 if anything failed.
"""

import argparse
import importlib.util
import json
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.comparisons import Kind, Side
from benchmarks.measure import Ratio, count_peak, interleave, measure_peak
from benchmarks.sides import make_trainer, prepare
from lcma.harness.train.devices import configure_device, free_memory
from lcma.harness.train.stack import Stack
from lcma.harness.version import read_code_version
from lcma.models import build
from lcma.sweeps import catalog
from lcma.sweeps.recipe import Recipe

ROOT = Path(__file__).parents[1]
STACKED = ("realnvp", "glow")

Row = dict[str, Any]
"""The cells of a line of a table, by column."""


class NotRunError(Exception):
    """A section cannot be run here; the message says why."""


@dataclass
class Run:
    """The options of a run, and the results of a section."""

    device: str
    quick: bool
    data: Path | None
    until: float  # by the monotonic clock; no work is begun later
    out: Path = field(default_factory=Path.cwd)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)

    def attempt(self, name: str, measure: Callable[..., Row], *arguments: Any) -> None:
        """Add a row, or a note if no time is left or the measurement fails."""
        if self.seconds_left <= 0:
            self.notes.append(f"{name}: no time left")
            return
        try:
            self.rows.append({"row": name} | measure(self, *arguments))
        except Exception as error:  # noqa: BLE001 - the next rows are still of use
            self.fail(name, error)
        free_memory(self.device)

    def fail(self, name: str, error: Exception) -> None:
        """Note an error as a line and with its last frames."""
        (line, *_) = str(error).strip().splitlines() or [""]
        self.errors.append(f"{name}: {type(error).__name__}: {line}")
        self.tracebacks.append("".join(traceback.format_exception(error, limit=-4)))

    @property
    def profiles(self) -> tuple[str, ...]:
        return ("tiny",) if self.quick else ("tiny", "small")

    @property
    def seconds_left(self) -> float:
        return self.until - time.monotonic()

    def side(self, kind: Kind, flow: str, profile: str, **options: Any) -> Side:
        if self.quick:
            options = {"dataset": "photos8", "override": {"optimization": {"batch": 4}}} | options
        return Side(kind, flow, profile, **options)


EXACTNESS_SECONDS = 600
"""Time limit of the tests, so that the other sections have time too."""

TEST_OUTPUT = "gpu-tests.txt"


def measure_exactness(run: Run) -> None:
    """Run the tests of `make test-gpu`, and keep their output."""
    path = "tests/gpu/test_exactness.py" if run.quick else "tests/gpu"
    command = ["-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", "gpu", path]
    seconds = min(EXACTNESS_SECONDS, run.seconds_left)
    code, out, err = _run_python(*command, LCMA_TEST_DEVICE=run.device, seconds=seconds)
    (run.out / TEST_OUTPUT).write_text(out + err)
    outcomes = read_outcomes(out)
    counts = Counter(outcome.lower() for _, outcome in outcomes)
    summary = ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "none ended"
    run.rows.append({"row": path, "tests": summary, "expected": "all passed"})
    failed = [name for name, outcome in outcomes if outcome in ("FAILED", "ERROR")]
    run.notes += [f"failed: {name}" for name in failed]
    if code is None:
        run.notes.append(f"ended after {seconds:.0f} s: {TEST_OUTPUT} says in which test")
    if failed or code:
        run.errors.append(f"tests failed: see {TEST_OUTPUT}")


def read_outcomes(output: str) -> list[tuple[str, str]]:
    """Return names and outcomes of the tests that ended, from the output of `pytest -v`."""
    line = r"^(tests/.+) (PASSED|FAILED|ERROR|SKIPPED)\b.*%\]$"
    return re.findall(line, output, flags=re.MULTILINE)


GAINS = {
    "realnvp": {1: 0.8, 6: 4.8, 12: 9.5, 24: 19, 48: 36},
    "glow": {1: 0.9, 6: 5.5, 12: 11, 24: 21, 48: 40},
}
"""Launches of a single step over those per model of a stack, by the stack's size.

Counted for 1, 6 and 12 models and computed for more. A stack gains this much if launches take all
of the time.
"""


def compare_stacks(run: Run) -> None:
    """Compare the step of a stack with that of one model."""
    for flow, profile in product(STACKED, run.profiles):
        for models, expected in GAINS[flow].items():
            if not run.quick or models < 12:
                name = f"{flow}/{profile} x {models}"
                run.attempt(name, _compare_stack, flow, profile, models, expected)


def _compare_stack(run: Run, flow: str, profile: str, models: int, expected: float) -> Row:
    device, notes = torch.device(run.device), list[str]()
    stack = prepare(run.side("stack", flow, profile, models=models), device, notes.append)
    alone = prepare(run.side("lcma", flow, profile), device)
    times = interleave(stack, alone, 2 if run.quick else 10, device)
    wall = times.wall
    quartiles = (models * value for value in (wall.median, wall.quartile_1, wall.quartile_3))
    return {
        "alone, ms": round(1e3 * times.seconds_second, 2),
        "in the stack, ms a model": round(1e3 * times.seconds_first / models, 2),
        "gain": _format_ratio(Ratio(*quartiles)),
        "expected": f"at most {expected:g}",
        "formed": "; ".join(notes) or "as one",
    }


def _format_ratio(ratio: Ratio) -> str:
    return f"{ratio.median:.2f} ({ratio.quartile_1:.2f} to {ratio.quartile_3:.2f})"


def compare_with_peer(run: Run) -> None:
    """Compare our step, plain and compiled, with that of normflows."""
    if importlib.util.find_spec("normflows") is None:
        raise NotRunError("normflows is not installed")
    # On a CPU, compiling takes minutes and gains nothing.
    modes = (False,) if run.device == "cpu" else (False, True)
    for flow, profile, compiled in product(STACKED, run.profiles, modes):
        name = f"{flow}/{profile}{', compiled' * compiled}"
        run.attempt(name, _compare_with_peer, flow, profile, compiled)


def _compare_with_peer(run: Run, flow: str, profile: str, compiled: bool) -> Row:
    device = torch.device(run.device)
    optimization = {"batch": 4} if run.quick else {}
    our_optimization = optimization | ({"compile": True, "stacked": False} if compiled else {})
    ours = run.side("lcma", flow, profile, override={"optimization": our_optimization})
    peer = run.side("normflows", flow, profile, override={"optimization": optimization})
    sides = prepare(ours, device), prepare(peer, device)
    times = interleave(*sides, 2 if run.quick else 20, device)
    return {
        "ours, ms": round(1e3 * times.seconds_first, 2),
        "normflows, ms": round(1e3 * times.seconds_second, 2),
        "normflows / ours": _format_ratio(times.wall),
        "expected": "at least 1",
    }


STEPS = 5
"""Steps that are trained without a wait."""


def find_waits(run: Run) -> None:
    """Train while CUDA raises an error at each wait for the device."""
    for flow in catalog.flows():
        run.attempt(flow, _train_without_waiting, flow, 0)
    for flow in STACKED if run.device == "cuda" else ():
        run.attempt(f"{flow} x 4", _train_without_waiting, flow, 4)


def _train_without_waiting(run: Run, flow: str, members: int) -> Row:
    device, side = torch.device(run.device), run.side("lcma", flow, "tiny")
    trainers = [make_trainer(side, device, seed) for seed in range(max(1, members))]
    stack = Stack(trainers) if members else None
    if stack is not None:
        stack.repeated.unrecorded = 0
    step = trainers[0].make_step if stack is None else stack.step
    trainers[0].flow.train()
    # Before that: the second step is recorded, and the third is checked, which waits.
    for _ in range(3):
        step()
    if device.type != "cpu":
        torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(STEPS):
            step()
    finally:
        if device.type != "cpu":
            torch.cuda.set_sync_debug_mode("default")
    return {"steps without a wait": STEPS, "expected": STEPS}


def compare_memory(run: Run) -> None:
    """Compare the memory of a step with the sizes of its tensors."""
    for flow, profile in product(catalog.flows(), run.profiles):
        run.attempt(f"{flow}/{profile}", _compare_memory, run.side("lcma", flow, profile))


def _compare_memory(run: Run, side: Side) -> Row:
    device = torch.device(run.device)
    ours, on_cpu = prepare(side, device), prepare(side, torch.device("cpu"))
    for _ in range(3):  # measure a recorded step: the second is recorded, the third is checked
        ours()
        on_cpu()
    measured, counted = measure_peak(ours, device), count_peak(on_cpu)
    return {"peak of a step, MiB": round(measured, 1), "expected": f"{counted:.1f} by its tensors"}


def measure_maps(run: Run) -> None:
    """Make contribution maps of RealNVP on CIFAR-10 at 16x16."""
    budget, steps = (20, 10) if run.quick else (2000, 100)
    rows = _launch(
        run,
        ("tiny", "photos8") if run.quick else ("small", "cifar10-16"),
        f"factorization: [low], budget: {budget}",
        steps,
        """SELECT split AS row, images, round(mask_share, 2) AS "share of the lattice",
           round(mask_share_by_chance, 2) AS "by chance", round(unresolved, 3) AS unresolved
           FROM contribution_maps WHERE score = 'cumulative' ORDER BY split""",
    )
    for row, share in zip(rows, SHARES, strict=False):
        run.rows.append(row | {"expected": f"about {share} at budget 2000"})


SHARES = (0.98, 0.57, 0.23)
"""Shares of the lattice at each split in the reference, of the profile `tiny`."""


TERAFLOPS = 10
"""Expected float32 operations in wide convolutions, in 1e12 a second: half of an A100's peak."""


def measure_cell(run: Run) -> None:
    """Train some steps of a cell of `table2`: RealNVP's own rule on CIFAR-10 at 32x32."""
    profile, dataset = ("tiny", "photos32") if run.quick else ("paper", "cifar10")
    (row,) = _launch(
        run,
        (profile, dataset),
        "factorization: [conventional]",
        10 if run.quick else 300,
        """SELECT step AS steps, round(1000 * seconds_per_step, 1) AS "ms a step",
           round(peak_memory / 1048576.0) AS "peak, MiB", round(bits_per_dim, 2) AS "bits/dim"
           FROM results WHERE protocol = 'plain'""",
    )
    recipe = catalog.recipe("realnvp", dataset, profile)
    operations = recipe.optimization.batch * count_operations(recipe)
    milliseconds = 1e3 * operations / (1e12 * TERAFLOPS)
    hours = recipe.training.steps * row["ms a step"] / 3.6e6
    run.rows.append(
        {"row": f"{profile}/{dataset}", **row, "all steps, h": round(hours, 1)}
        | {"expected": f"about {milliseconds:.2g} ms ({TERAFLOPS} TFLOP/s), below 8 bits/dim"}
    )


def count_operations(recipe: Recipe) -> int:
    """Return the floating-point operations of a step per image."""
    flow = build(recipe.model, "channel", seed=0)
    with FlopCounterMode(display=False) as counter:
        flow(torch.zeros(1, *flow.shape)).log_prob.sum().backward()
    return int(counter.get_total_flops())


def _launch(run: Run, cell: tuple[str, str], matrix: str, steps: int, query: str) -> list[Row]:
    """Launch RealNVP, of a profile on a data set, for some steps; return the rows of a query."""
    profile, dataset = cell
    folders = [] if run.quick or run.data is None else ["--data", str(run.data)]
    if not run.quick and (run.data is None or not (run.data / dataset).is_dir()):
        raise NotRunError(
            f"{dataset} is not prepared: run `lcma data prepare {dataset} --data DIR`, then give "
            "--data DIR"
        )
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "one.yaml"
        sweep.write_text(
            f"name: one\nprofile: {profile}\n"
            f"matrix: {{flow: realnvp, dataset: {dataset}, {matrix}}}\n"
            f"recipe: {{training: {{steps: {steps}}}}}\n"
        )
        gpus = "1" if run.device == "cuda" else "0"
        _run_lcma(folder, run, "launch", str(sweep), "--gpus", gpus, *folders)
        result = json.loads(_run_lcma(folder, run, "sql", "--json", query))
    return [dict(zip(result["columns"], row, strict=True)) for row in result["rows"]]


SECTIONS: Mapping[str, tuple[str, Callable[[Run], None]]] = {
    "exactness": ("Exactness", measure_exactness),
    "stacks": ("A step in a stack against one alone", compare_stacks),
    "peer": ("Steps against normflows", compare_with_peer),
    "waits": ("Waits for the device", find_waits),
    "memory": ("Memory", compare_memory),
    "maps": ("Maps of RealNVP on CIFAR-10 at 16x16", measure_maps),
    "cell": ("The first steps of RealNVP's cell of table2 at 32x32", measure_cell),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_half_hour", description=__doc__)
    names = ", ".join(SECTIONS)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"{names} (default: all)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="only check: tiny sizes")
    parser.add_argument(
        "--data", type=_resolve, metavar="DIR", help="folder of the prepared cifar10-16 and cifar10"
    )
    parser.add_argument(
        "--minutes", type=float, default=28.0, help="after these begin no row (default: 28)"
    )
    parser.add_argument("--out", type=_resolve, default="gpu-half-hour", metavar="DIR")
    options = parser.parse_args(arguments)
    for section in options.sections:
        if section not in SECTIONS:
            parser.error(f"no section {section!r}; sections are {names}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("this torch has no CUDA device: use --device cpu --quick for a check")
    configure_device(options.device, 1)
    until = time.monotonic() + 60 * options.minutes
    document: dict[str, Any] = {
        "conditions": {
            "device": torch.cuda.get_device_name()
            if options.device == "cuda"
            else platform.machine(),
            "torch": torch.__version__,
            "CUDA": torch.version.cuda,
            "cores": os.cpu_count(),
            "commit": read_code_version()[0],
            "quick": options.quick,
        }
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for key in options.sections or SECTIONS:
        title, measure = SECTIONS[key]
        print(f"{title} ...", flush=True)
        run = Run(options.device, options.quick, options.data, until, options.out)
        document[key] = _measure_section(run, measure)
        # Written after each section, so that nothing is lost if a later one kills the process.
        (options.out / "gpu-half-hour.json").write_text(json.dumps(document, indent=1) + "\n")
        (options.out / "gpu-half-hour.md").write_text(as_markdown(document))
        print(_format_section(title, document[key]), flush=True)
    return int(any(part["errors"] for key, part in document.items() if key in SECTIONS))


def _resolve(path: str) -> Path:
    return Path(path).resolve()  # launches run in other folders


def _measure_section(run: Run, measure: Callable[[Run], None]) -> dict[str, Any]:
    start = time.monotonic()
    try:
        if run.seconds_left <= 0:
            raise NotRunError("no time left")
        measure(run)
    except NotRunError as error:
        run.notes.append(f"Not run: {error}")
    except Exception as error:  # noqa: BLE001 - the next sections are still of use
        run.fail("all of it", error)
    return {
        "rows": run.rows,
        "errors": run.errors,
        "tracebacks": run.tracebacks,
        "notes": run.notes,
        "seconds": round(time.monotonic() - start, 1),
    }


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the tables of all sections."""
    conditions = ", ".join(f"{name} {value}" for name, value in document["conditions"].items())
    sections = [
        _format_section(SECTIONS[key][0], part) for key, part in document.items() if key in SECTIONS
    ]
    return "\n".join([f"{conditions}.\n", *sections])


def _format_section(title: str, part: Mapping[str, Any]) -> str:
    lines = [f"**{title}** ({part['seconds']:g} s)", ""]
    if rows := part["rows"]:
        columns = list(dict.fromkeys(name for row in rows for name in row))
        lines += [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
        lines += [f"| {' | '.join(str(row.get(name, '')) for name in columns)} |" for row in rows]
        lines.append("")
    lines += [f"- Failed: {error}" for error in part["errors"]]
    return "\n".join([*lines, *(f"- {note}" for note in part["notes"]), ""])


def _run_python(
    *arguments: str, seconds: float, folder: str | Path = ROOT, **variables: str
) -> tuple[int | None, str, str]:
    """Run Python; return its exit code, None if its time was over, and its output and errors."""
    command = [sys.executable, *arguments]
    path = f"{ROOT / 'src'}{os.pathsep}{ROOT}"
    environment = {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", **variables}
    # Not pipes: the program's children may keep these open after its end.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        code: int | None = None
        try:
            code = child.wait(max(30.0, seconds))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)  # so that it ends its children
            with suppress(subprocess.TimeoutExpired):
                child.wait(30)
        finally:
            child.kill()
            child.wait()
        for file in (out, err):
            file.seek(0)
        return code, out.read(), err.read()


def _run_lcma(folder: str, run: Run, *arguments: str) -> str:
    seconds = run.seconds_left
    own = {"LCMA_DB": "", "LCMA_RUNS": ""}  # those of the folder
    code, out, err = _run_python("-m", "lcma", *arguments, seconds=seconds, folder=folder, **own)
    if code is None:
        raise RuntimeError(f"lcma {arguments[0]} was not done in time")
    if code:
        last = (err.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"lcma {arguments[0]} ended with {code}: {last}")
    return out


if __name__ == "__main__":
    raise SystemExit(main())
