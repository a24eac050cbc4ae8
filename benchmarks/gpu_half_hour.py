"""All that is to be known of lcma on a GPU, in half an hour.

`make gpu-half-hour`, or, without a network, `python -m benchmarks.gpu_half_hour [SECTION ...]`
where everything is installed. Each row ends for itself: one that fails or finds no time left says
so, and the others go on. Results are written as JSON and as a table in Markdown for
benchmarks/README.md. It returns 1 if anything failed, or was found to be wrong.
"""

import argparse
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.comparisons import Kind, Side

if TYPE_CHECKING:
    from benchmarks.measure import Times

ROOT = Path(__file__).parents[1]
FLOWS = ("realnvp", "glow")

Row = dict[str, Any]
"""What one line of a table says, by column."""


class NotRunError(Exception):
    """A section cannot be run here; the message says why."""


@dataclass
class Run:
    """What is asked for, the time until which new work is begun, and what a section has found."""

    device: str
    quick: bool
    data: Path | None
    until: float
    out: Path = field(default_factory=Path.cwd)
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Forget what the last section has found."""
        self.rows, self.notes, self.errors, self.tracebacks = [], [], [], []

    @contextmanager
    def apart(self, name: str = "") -> Iterator[None]:
        """Keep an error, so that it ends this part alone."""
        try:
            yield
        except NotRunError:
            raise
        except Exception as error:  # noqa: BLE001 - what comes after is still worth its time
            self.errors.append(f"{name}{': ' * bool(name)}{type(error).__name__}: {error}")
            self.tracebacks.append(traceback.format_exc(limit=-4))

    @property
    def profiles(self) -> tuple[str, ...]:
        return ("tiny",) if self.quick else ("tiny", "small")

    @property
    def sizes(self) -> tuple[int, ...]:
        return (4,) if self.quick else (4, 12, 48)

    @property
    def seconds_left(self) -> float:
        return self.until - time.monotonic()

    def has_time(self, what: str) -> bool:
        """Return whether there is time left; note what is left out without any."""
        if self.seconds_left <= 0:
            self.notes.append(f"{what}: no time left")
        return self.seconds_left > 0

    def side(self, kind: Kind, flow: str, profile: str, **more: Any) -> Side:
        if self.quick:
            more = {"dataset": "photos8", "override": {"optimization": {"batch": 4}}} | more
        return Side(kind, flow, profile, **more)


EXACTNESS_SECONDS = 600
"""Most seconds for the tests: the other sections need theirs."""

TEST_OUTPUT = "gpu-tests.txt"


def measure_exactness(run: Run) -> None:
    """Run `make test-gpu`, and keep what it printed."""
    chosen = ["tests/gpu/test_exactness.py"] if run.quick else ["tests/gpu"]
    command = ["-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", "gpu", *chosen]
    seconds = min(EXACTNESS_SECONDS, run.seconds_left)
    done = _python(*command, LCMA_TEST_DEVICE=run.device, seconds=seconds)
    (run.out / TEST_OUTPUT).write_text(done.stdout + done.stderr)
    outcomes = read_outcomes(done.stdout)
    counts = Counter(outcome.lower() for _, outcome in outcomes)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.items()) or "none ended"
    run.rows.append({"tests": chosen[0], "outcome": told})
    wrong = [name for name, outcome in outcomes if outcome in ("FAILED", "ERROR")]
    run.notes += [f"failed: {name}" for name in wrong]
    if done.code is None:
        run.notes.append(f"ended after {seconds:.0f} s: {TEST_OUTPUT} says in which test")
    if wrong or done.code:
        run.errors.append(f"tests failed: see {TEST_OUTPUT}")


def read_outcomes(printed: str) -> list[tuple[str, str]]:
    """Return names and outcomes of the tests that ended, as `pytest -v` prints them."""
    line = r"^(tests/.+) (PASSED|FAILED|ERROR|SKIPPED)\b.*%\]$"
    return re.findall(line, printed, flags=re.MULTILINE)


def compare_bits(run: Run) -> None:
    """Compare a member's bits in stacks of several sizes and in another order.

    They are formed as trainings form them: in fours where this device needs it.
    """
    import torch

    from benchmarks.sides import make_trainer
    from lcma.harness.train.stack import form_stacks

    device = torch.device(run.device)

    def weights(side: Side, seeds: Sequence[int]) -> tuple[str, dict[int, bytes]]:
        trainers = [make_trainer(side, device, seed) for seed in seeds]
        stacks = form_stacks(trainers, lambda told: None)  # the rows tell it
        rows = " + ".join(str(len(stack.rows)) for stack in stacks)
        for stack in stacks:
            for _ in range(3):
                stack.step()
            stack.dissolve()
        return rows, {
            seed: b"".join(
                tensor.cpu().numpy().tobytes() for tensor in made.flow.state_dict().values()
            )
            for seed, made in zip(seeds, trainers, strict=True)
        }

    for flow in FLOWS:
        for profile in run.profiles:
            name = f"{flow}/{profile}"
            if not run.has_time(f"bits of {name}"):
                continue
            with run.apart(name):
                side = run.side("stack", flow, profile)
                most_rows, most = weights(side, range(6 if run.quick else 12))
                for stack, seeds in {
                    "4": [0, 1, 2, 3],
                    "5": [0, 1, 2, 3, 4],
                    "6, shuffled": [3, 5, 0, 4, 1, 2],
                    "1, filled up": [2],
                }.items():
                    rows, found = weights(side, seeds)
                    same = all(found[seed] == most[seed] for seed in seeds)
                    run.rows.append(
                        {
                            "row": name,
                            "stack": stack,
                            "run as rows": rows,
                            "against": most_rows,
                            "same bits": same,
                        }
                    )
                    if not same:
                        run.errors.append(f"{name}: other bits in a stack of {stack}")


def compare_stacks(run: Run) -> None:
    """Hold a stack against one model alone; one of up to `PROCESSES` also against as many
    processes."""
    from lcma.harness.train.devices import free_memory

    for flow in FLOWS:
        for profile in run.profiles:
            for models in run.sizes:
                name = f"{flow}/{profile} x {models}"
                if not run.has_time(name):
                    continue
                with run.apart(name):
                    times = _stack_and_one(run, name, flow, profile, models)
                    free_memory(run.device)  # the processes need it
                    if times is None:
                        run.rows.append({"row": name, "memory": "ran out"})
                        continue
                    member = 1e3 * times.seconds_first / models
                    row = {
                        "row": name,
                        "alone, ms a step": round(1e3 * times.seconds_second, 2),
                        "in the stack, ms a model": round(member, 2),
                        "gain over one": round(models * times.wall.median, 2),
                        "quartiles": [
                            round(models * times.wall.quartile_1, 2),
                            round(models * times.wall.quartile_3, 2),
                        ],
                    }
                    run.rows.append(row)
                    if models <= PROCESSES:
                        seconds = _in_processes(run, flow, profile, models)
                        row["processes, ms a model"] = round(1e3 * seconds, 2)
                        row["gain over processes"] = round(1e3 * seconds / member, 2)


def _stack_and_one(run: Run, name: str, flow: str, profile: str, models: int) -> "Times | None":
    """Return the times of a step of a stack and of one model's; None if memory ran out."""
    import torch

    from benchmarks.measure import interleave
    from benchmarks.sides import prepare
    from lcma.harness.train.devices import ran_out_of_memory

    device = torch.device(run.device)
    try:
        alone = prepare(run.side("lcma", flow, profile), device)
        stack = prepare(
            run.side("stack", flow, profile, models=models),
            device,
            lambda told: run.notes.append(f"{name}: {told}"),
        )
        return interleave(stack, alone, 2 if run.quick else 10, device)
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        return None


PROCESSES = 12
"""Most processes at once: each takes some hundred MB of a GPU for itself."""


def _in_processes(run: Run, flow: str, profile: str, models: int) -> float:
    """Return the seconds of a model's step where so many processes train one each.

    Raises RuntimeError if one of them fails, or they are not done in time.
    """
    steps = 3 if run.quick else 30
    with tempfile.TemporaryDirectory() as folder:
        ready, told = Path(folder) / "ready", Path(folder) / "told"
        ready.mkdir()
        side = json.dumps([flow, profile, run.device, run.quick, steps, str(ready), models])
        command = [sys.executable, "-m", "benchmarks.gpu_half_hour", "--one-of-many", side]
        with told.open("w") as errors:
            children = [
                subprocess.Popen(
                    command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors, text=True, env=_here()
                )
                for _ in range(models)
            ]
        until = time.monotonic() + max(60.0, run.seconds_left)
        try:
            codes: list[int | None] = [None]
            # Until all are done, or one has failed: the others would wait for it.
            while None in codes and not any(codes) and time.monotonic() < until:
                time.sleep(0.1)
                codes = [child.poll() for child in children]
        finally:
            for child in children:
                child.kill()
            found = [child.communicate()[0] for child in children]
        last = (told.read_text().strip().splitlines() or ["one failed"])[-1]
    if any(codes):
        raise RuntimeError(f"{models} processes: {last}")
    if None in codes:
        raise RuntimeError(f"{models} processes: they were not done in time")
    spans = [json.loads(text.splitlines()[-1]) for text in found]
    return (max(end for _, end in spans) - min(begin for begin, _ in spans)) / (steps * models)


def train_one_of_many(given: str) -> None:
    """Take part in `_in_processes`: get ready, wait for the others, and print when it trained."""
    import torch

    from benchmarks.sides import prepare
    from lcma.harness.train.devices import settle_device

    flow, profile, device, quick, steps, folder, models = json.loads(given)
    run = Run(device, quick, None, 0.0)
    settle_device(device, 1)
    step = prepare(run.side("lcma", flow, profile), torch.device(device))
    for _ in range(2):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    (Path(folder) / str(os.getpid())).touch()
    waited = time.monotonic()
    while len(list(Path(folder).iterdir())) < models:
        if time.monotonic() - waited > 120:
            raise SystemExit("the other processes did not come")
        time.sleep(0.01)
    began = time.time()
    for _ in range(steps):
        step()
    if device == "cuda":
        torch.cuda.synchronize()
    print(json.dumps([began, time.time()]))


def compare_with_peer(run: Run) -> None:
    """Hold our step, plain and compiled, against normflows'."""
    import torch

    from benchmarks.measure import interleave
    from benchmarks.sides import prepare

    if importlib.util.find_spec("normflows") is None:
        raise NotRunError("normflows is not installed")
    device = torch.device(run.device)
    for flow in FLOWS:
        for profile in run.profiles:
            for compiled in (False, True):
                name = f"{flow}/{profile}{', compiled' * compiled}"
                if not run.has_time(name):
                    continue
                with run.apart(name):
                    optimization = {"compile": True, "stacked": False} if compiled else {}
                    if run.quick:
                        optimization["batch"] = 4
                    ours = run.side("lcma", flow, profile, override={"optimization": optimization})
                    if ours.recipe.optimization.compile and run.device == "cpu":
                        continue  # it takes minutes there and gains nothing
                    peer = run.side("normflows", flow, profile)
                    times = interleave(
                        prepare(ours, device), prepare(peer, device), 2 if run.quick else 20, device
                    )
                    wall = times.wall
                    run.rows.append(
                        {
                            "row": name,
                            "ours, ms": round(1e3 * times.seconds_first, 2),
                            "normflows, ms": round(1e3 * times.seconds_second, 2),
                            "normflows / ours": round(wall.median, 2),
                            "quartiles": [round(wall.quartile_1, 2), round(wall.quartile_3, 2)],
                        }
                    )


def share_a_gpu(run: Run) -> None:
    """Train two trials on half of a GPU each by way of Ray, and one after the other."""
    share = 0.5 if run.device == "cuda" else 0
    ways = (("at once, by halves", share, 2), ("one after the other", 2 * share, 1))
    for name, gpus, parallel in ways:
        if not run.has_time(f"two trials {name}"):
            continue
        with run.apart(name), tempfile.TemporaryDirectory() as folder:
            sweep = Path(folder) / "two.yaml"
            sweep.write_text(
                "name: two\n"
                f"matrix: {{flow: realnvp, dataset: {'photos8' if run.quick else 'photos16'}, "
                "factorization: [rows, channel]}\n"
                f"recipe: {{training: {{steps: {20 if run.quick else 1000}}}, "
                "optimization: {stacked: false}}\n"  # a stack would be one worker
            )
            _lcma(
                folder, run, "launch", str(sweep), "--gpus", f"{gpus:g}", "--no-pictures",
                "--parallel", str(parallel),
            )  # fmt: skip
            told = _lcma(folder, run, "sql", "--json", "select started, ended from attempts")
            spans = json.loads(told)["rows"]
            whole = max(end for _, end in spans) - min(begin for begin, _ in spans)
            each = ", ".join(f"{end - begin:.1f}" for begin, end in spans)
            run.rows.append({"two trials": name, "seconds in all": round(whole, 1), "each": each})


MAP_QUERY = """
SELECT split, budget, images, round(mask_share, 3) AS "share of the lattice",
       round(mask_share_by_chance, 3) AS "by chance", round(standard_error, 4) AS "standard error",
       round(rank_gap, 4) AS "gap of ranks", round(unresolved, 3) AS unresolved
FROM contribution_maps WHERE score = 'cumulative' ORDER BY split
"""


def measure_maps(run: Run) -> None:
    """Pretrain RealNVP `small` on CIFAR-10 at 16x16, and say what its maps look like."""
    name = "photos8" if run.quick else "cifar10-16"
    profile = "tiny" if run.quick else "small"
    if not run.quick and run.data is None:
        raise NotRunError(f"give --data DIR with {name} in it (44 MB, by `lcma data prepare`)")
    with tempfile.TemporaryDirectory() as folder:
        sweep = Path(folder) / "maps.yaml"
        sweep.write_text(
            f"name: maps\nprofile: {profile}\n"
            f"matrix: {{flow: realnvp, dataset: {name}, factorization: [low], "
            f"budget: {20 if run.quick else 2000}}}\n"
            f"recipe: {{training: {{steps: {10 if run.quick else 100}}}}}\n"
        )
        own = [] if run.quick or run.data is None else ["--data", str(run.data)]
        _lcma(
            folder, run, "launch", str(sweep), "--no-pictures",
            "--gpus", "1" if run.device == "cuda" else "0", *own,
        )  # fmt: skip
        told = _lcma(folder, run, "sql", "--json", MAP_QUERY)
    found = json.loads(told)
    run.rows += [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


SECTIONS: Mapping[str, tuple[str, Callable[[Run], None]]] = {
    "exactness": ("Exactness", measure_exactness),
    "bits": ("Bits of stacks", compare_bits),
    "stacks": ("Stacks against one, and against processes", compare_stacks),
    "peer": ("Steps against normflows", compare_with_peer),
    "shares": ("Two trials on one GPU", share_a_gpu),
    "maps": ("Maps of RealNVP small on CIFAR-10 at 16x16", measure_maps),
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_half_hour", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs")
    parser.add_argument("--data", type=_resolved, metavar="DIR", help="where cifar10-16 is")
    parser.add_argument("--minutes", type=float, default=28.0, help="begin nothing later")
    parser.add_argument("--out", type=_resolved, default="gpu-half-hour", metavar="DIR")
    parser.add_argument("--one-of-many", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one_of_many:
        train_one_of_many(given.one_of_many)
        return 0
    for section in given.sections:
        if section not in SECTIONS:
            parser.error(f"no section {section!r}; sections are {', '.join(SECTIONS)}")
    if given.data is not None and not (given.data / "cifar10-16").is_dir():
        parser.error(
            f"{given.data} holds no cifar10-16: lcma data prepare cifar10-16 --data {given.data}"
        )
    import torch

    from lcma.harness.train.devices import settle_device

    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("this torch sees no CUDA device: use --device cpu --quick to see it run")
    settle_device(given.device, 1)
    until = time.monotonic() + 60 * given.minutes
    run = Run(given.device, given.quick, given.data, until, given.out)
    document: dict[str, Any] = {"conditions": _conditions(run)}
    given.out.mkdir(parents=True, exist_ok=True)
    for key in given.sections or SECTIONS:
        title, measure = SECTIONS[key]
        print(f"{title} ...", flush=True)
        document[key] = _measured(run, measure)
        # After each section, so that what was measured is there whatever comes.
        (given.out / "gpu-half-hour.json").write_text(json.dumps(document, indent=1) + "\n")
        (given.out / "gpu-half-hour.md").write_text(as_markdown(document))
        print(_section(title, document[key]), flush=True)
    return int(any(part["errors"] for key, part in document.items() if key in SECTIONS))


def _resolved(path: str) -> Path:
    """Return a path that means the same in the folders of launches."""
    return Path(path).resolve()


def _measured(run: Run, measure: Callable[[Run], None]) -> dict[str, Any]:
    began = time.monotonic()
    run.begin()
    found: dict[str, Any] = {}
    try:
        if run.seconds_left <= 0:
            raise NotRunError("no time left")
        with run.apart():
            measure(run)
    except NotRunError as error:
        found["not run"] = str(error)
    return found | {
        "rows": run.rows,
        "errors": run.errors,
        "tracebacks": run.tracebacks,
        "notes": run.notes,
        "seconds": round(time.monotonic() - began, 1),
    }


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the tables of all sections."""
    told = ", ".join(f"{name} {value}" for name, value in document["conditions"].items())
    parts = [_section(SECTIONS[key][0], part) for key, part in document.items() if key in SECTIONS]
    return "\n".join([f"{told}.\n", *parts])


def _section(title: str, part: Mapping[str, Any]) -> str:
    lines = [f"**{title}** ({part['seconds']:g} s)", ""]
    rows = part["rows"]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if rows:
        lines += [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
        lines += [f"| {' | '.join(_cell(row.get(name)) for name in columns)} |" for row in rows]
        lines.append("")
    if "not run" in part:
        lines.append(f"Not run: {part['not run']}.")
    lines += [f"- Failed: {error}" for error in part["errors"]]
    return "\n".join([*lines, *(f"- {note}" for note in part["notes"]), ""])


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, list):
        return " to ".join(map(str, value))
    return "" if value is None else str(value)


def _conditions(run: Run) -> dict[str, Any]:
    import platform

    import torch

    from lcma.harness.version import read_code_version

    device = torch.cuda.get_device_name() if run.device == "cuda" else platform.machine()
    return {
        "device": device,
        "torch": torch.__version__,
        "CUDA": torch.version.cuda,
        "cores": os.cpu_count(),
        "commit": read_code_version()[0],
        "quick": run.quick,
    }


def _here(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", **variables}


@dataclass
class Ended:
    """A program that ended, with ``code`` None if it was ended; and what it printed."""

    code: int | None
    stdout: str
    stderr: str


def _python(*arguments: str, seconds: float, folder: str | Path = ROOT, **variables: str) -> Ended:
    """Run Python for so many seconds at most."""
    command, environment = [sys.executable, *arguments], _here(PYTHONUNBUFFERED="1", **variables)
    # Not pipes: what it started may keep them open when it is gone.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=err)
        code: int | None = None
        try:
            code = child.wait(max(30.0, seconds))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGINT)  # so that it ends what it started
            with suppress(subprocess.TimeoutExpired):
                child.wait(30)
        finally:
            child.kill()
            child.wait()
        for file in (out, err):
            file.seek(0)
        return Ended(code, out.read(), err.read())


def _lcma(folder: str, run: Run, *arguments: str) -> str:
    done = _python("-m", "lcma", *arguments, seconds=run.seconds_left, folder=folder)
    if done.code is None:
        raise RuntimeError(f"lcma {arguments[0]} was not done in time")
    if done.code:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"lcma {arguments[0]} ended with {done.code}: {last}")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
