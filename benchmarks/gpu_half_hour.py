"""All that is to be known of lcma on a GPU, in half an hour and without a network.

`make gpu-half-hour`, or `python -m benchmarks.gpu_half_hour [SECTION ...]` where everything is
installed. Each section ends for itself: one that fails or finds no time left says so, and the
others go on. Results are written as JSON and as a table in Markdown for benchmarks/README.md.
"""

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.comparisons import Kind, Side

ROOT = Path(__file__).parents[1]
FLOWS = ("realnvp", "glow")

Row = dict[str, Any]
"""What one line of a table says, by column."""


class NotRunError(Exception):
    """A section cannot be run here; the message says why."""


@dataclass
class Run:
    """What is asked for, and the time until which new work is begun."""

    device: str
    quick: bool
    data: Path | None
    until: float
    notes: list[str] = field(default_factory=list)

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


def measure_exactness(run: Run) -> list[Row]:
    """Run `make test-gpu`."""
    chosen = ["tests/gpu/test_exactness.py"] if run.quick else ["tests/gpu"]
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", *chosen]
    done = _python(*command, LCMA_TEST_DEVICE=run.device, seconds=run.seconds_left)
    summary = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else "no output"
    if done.returncode:
        failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, flags=re.MULTILINE)
        run.notes += [f"failed: {name}" for name in failed]
    return [{"tests": "tests/gpu", "outcome": re.sub(r"^=+ | =+$", "", summary)}]


def compare_bits(run: Run) -> list[Row]:
    """Compare a member's bits in stacks of several sizes and in another order."""
    import torch

    from benchmarks.sides import make_trainer
    from lcma.harness.train.stack import Stack

    device, rows = torch.device(run.device), []
    for flow in FLOWS:
        for profile in run.profiles:
            if not run.has_time(f"bits of {flow}/{profile}"):
                continue
            side = run.side("stack", flow, profile)

            def weights(seeds: Sequence[int], side: Side = side) -> dict[int, bytes]:
                stack = Stack([make_trainer(side, device, seed) for seed in seeds])
                for _ in range(3):
                    stack.step()
                stack.dissolve()
                return {
                    seed: b"".join(
                        tensor.cpu().numpy().tobytes() for tensor in made.flow.state_dict().values()
                    )
                    for seed, made in zip(seeds, stack.trainers, strict=True)
                }

            most = weights(range(6 if run.quick else 12))
            for name, seeds in {
                "4": [0, 1, 2, 3],
                "5": [0, 1, 2, 3, 4],
                "6, shuffled": [3, 5, 0, 4, 1, 2],
                "1, filled up": [2],
            }.items():
                found = weights(seeds)
                same = all(found[seed] == most[seed] for seed in seeds)
                rows.append({"row": f"{flow}/{profile}", "stack": name, "same bits": same})
    return rows


def compare_stacks(run: Run) -> list[Row]:
    """Hold a stack against its models one after the other, and against as many processes."""
    import torch

    from benchmarks.measure import interleave
    from benchmarks.sides import prepare

    device, rows = torch.device(run.device), []
    for flow in FLOWS:
        for profile in run.profiles:
            for models in run.sizes:
                name = f"{flow}/{profile} x {models}"
                if not run.has_time(name):
                    continue
                stack, alone = (
                    run.side(kind, flow, profile, models=models if kind == "stack" else 1)
                    for kind in ("stack", "lcma")
                )
                try:
                    one, many = prepare(alone, device), prepare(stack, device)
                    times = interleave(many, one, 2 if run.quick else 10, device)
                    processes = _in_processes(run, flow, profile, models)
                except torch.OutOfMemoryError:
                    rows.append({"row": name, "memory": "ran out"})
                    continue
                finally:
                    many = None
                    if run.device == "cuda":
                        torch.cuda.empty_cache()
                member = 1e3 * times.seconds_first / models
                rows.append(
                    {
                        "row": name,
                        "alone, ms a step": round(1e3 * times.seconds_second, 2),
                        "in the stack, ms a model": round(member, 2),
                        "gain over one": round(models * times.wall.median, 2),
                        "quartiles": [
                            round(models * times.wall.quartile_1, 2),
                            round(models * times.wall.quartile_3, 2),
                        ],
                        "processes, ms a model": processes and round(1e3 * processes, 2),
                        "gain over processes": processes and round(1e3 * processes / member, 2),
                    }
                )
    return rows


PROCESSES = 12
"""Most processes at once: each takes some hundred MB of a GPU for itself."""


def _in_processes(run: Run, flow: str, profile: str, models: int) -> float | None:
    """Return the seconds of a model's step where so many processes train one each; None if they are
    too many, or did not all end."""
    if models > PROCESSES:
        return None
    steps = 3 if run.quick else 30
    with tempfile.TemporaryDirectory() as folder:
        side = json.dumps([flow, profile, run.device, run.quick, steps, folder, models])
        command = [sys.executable, "-m", "benchmarks.gpu_half_hour", "--one-of-many", side]
        children = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=_here())  # noqa: S603 - ours
            for _ in range(models)
        ]
        try:
            found = [
                child.communicate(timeout=max(60.0, run.seconds_left))[0] for child in children
            ]
        except subprocess.TimeoutExpired:
            return None
        finally:
            for child in children:
                child.kill()
    if any(child.returncode for child in children):
        return None
    spans = [json.loads(text.splitlines()[-1]) for text in found]
    return (max(end for _, end in spans) - min(begin for begin, _ in spans)) / (steps * models)


def train_one_of_many(given: str) -> None:
    """Take part in `_in_processes`: get ready, wait for the others, and print when it trained."""
    import torch

    from benchmarks.sides import prepare

    flow, profile, device, quick, steps, folder, models = json.loads(given)
    run = Run(device, quick, None, 0.0)
    torch.set_num_threads(1)
    step = prepare(run.side("lcma", flow, profile), torch.device(device))
    for _ in range(2):
        step()
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


def compare_with_peer(run: Run) -> list[Row]:
    """Hold our step, plain and compiled, against normflows'."""
    import torch

    from benchmarks.measure import interleave
    from benchmarks.sides import prepare

    if importlib.util.find_spec("normflows") is None:
        raise NotRunError("normflows is not installed")
    device, rows = torch.device(run.device), []
    for flow in FLOWS:
        for profile in run.profiles:
            for compiled in (False, True):
                name = f"{flow}/{profile}{', compiled' * compiled}"
                if compiled and run.device == "cpu":
                    continue  # it takes minutes there and gains nothing
                if not run.has_time(name):
                    continue
                optimization = {"compile": True} if compiled else {}
                if run.quick:
                    optimization["batch"] = 4
                ours = run.side("lcma", flow, profile, override={"optimization": optimization})
                peer = run.side("normflows", flow, profile)
                times = interleave(
                    prepare(ours, device), prepare(peer, device), 2 if run.quick else 20, device
                )
                wall = times.wall
                rows.append(
                    {
                        "row": name,
                        "ours, ms": round(1e3 * times.seconds_first, 2),
                        "normflows, ms": round(1e3 * times.seconds_second, 2),
                        "normflows / ours": round(wall.median, 2),
                        "quartiles": [round(wall.quartile_1, 2), round(wall.quartile_3, 2)],
                    }
                )
    return rows


def share_a_gpu(run: Run) -> list[Row]:
    """Train two trials on half of a GPU each by way of Ray, and one after the other."""
    rows = []
    share = 0.5 if run.device == "cuda" else 0
    ways = (("at once, by halves", share, 2), ("one after the other", 2 * share, 1))
    for name, gpus, parallel in ways:
        if not run.has_time(f"two trials {name}"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            sweep = Path(folder) / "two.yaml"
            sweep.write_text(
                "name: two\n"
                f"matrix: {{flow: realnvp, dataset: {'photos8' if run.quick else 'photos16'}, "
                "factorization: [rows, channel]}\n"
                f"recipe: {{training: {{steps: {20 if run.quick else 1000}}}}}\n"
            )
            _lcma(
                folder, run, "launch", str(sweep), "--gpus", f"{gpus:g}", "--no-pictures",
                "--parallel", str(parallel),
            )  # fmt: skip
            told = _lcma(folder, run, "sql", "--json", "select started, ended from attempts")
        spans = json.loads(told)["rows"]
        whole = max(end for _, end in spans) - min(begin for begin, _ in spans)
        each = ", ".join(f"{end - begin:.1f}" for begin, end in spans)
        rows.append({"two trials": name, "seconds in all": round(whole, 1), "each": each})
    return rows


MAP_QUERY = """
SELECT split, budget, images, round(mask_share, 3) AS "share of the lattice",
       round(mask_share_by_chance, 3) AS "by chance", round(standard_error, 4) AS "standard error",
       round(rank_gap, 4) AS "gap of ranks", round(unresolved, 3) AS unresolved
FROM map_statistics WHERE score = 'cumulative' ORDER BY split
"""


def measure_maps(run: Run) -> list[Row]:
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
    return [dict(zip(found["columns"], row, strict=True)) for row in found["rows"]]


SECTIONS: Mapping[str, tuple[str, Callable[[Run], list[Row]]]] = {
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
    parser.add_argument("--data", type=Path, metavar="DIR", help="where cifar10-16 is prepared")
    parser.add_argument("--minutes", type=float, default=28.0, help="begin nothing later")
    parser.add_argument("--out", type=Path, default=Path("gpu-half-hour"), metavar="DIR")
    parser.add_argument("--one-of-many", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.one_of_many:
        train_one_of_many(given.one_of_many)
        return 0
    for section in given.sections:
        if section not in SECTIONS:
            parser.error(f"no section {section!r}; sections are {', '.join(SECTIONS)}")
    import torch

    from lcma.harness.run.evaluation import settle_device

    if given.device == "cuda" and not torch.cuda.is_available():
        parser.error("this torch sees no CUDA device: use --device cpu --quick to see it run")
    settle_device(given.device, 1)
    run = Run(given.device, given.quick, given.data, time.monotonic() + 60 * given.minutes)
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
    return int(any("error" in part for key, part in document.items() if key in SECTIONS))


def _measured(run: Run, measure: Callable[[Run], list[Row]]) -> dict[str, Any]:
    began, run.notes = time.monotonic(), []
    found: dict[str, Any] = {}
    try:
        if run.seconds_left <= 0:
            raise NotRunError("no time left")
        found["rows"] = measure(run)
    except NotRunError as error:
        found["not run"] = str(error)
    except Exception as error:  # noqa: BLE001 - the other sections are still worth their time
        found["error"] = f"{type(error).__name__}: {error}"
        found["traceback"] = traceback.format_exc(limit=-4)
    return found | {"notes": run.notes, "seconds": round(time.monotonic() - began, 1)}


def as_markdown(document: Mapping[str, Any]) -> str:
    """Return the tables of all sections."""
    told = ", ".join(f"{name} {value}" for name, value in document["conditions"].items())
    parts = [_section(SECTIONS[key][0], part) for key, part in document.items() if key in SECTIONS]
    return "\n".join([f"{told}.\n", *parts])


def _section(title: str, part: Mapping[str, Any]) -> str:
    lines = [f"**{title}** ({part['seconds']:g} s)", ""]
    rows = part.get("rows", [])
    columns = list(dict.fromkeys(name for row in rows for name in row))
    if rows:
        lines += [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
        lines += [f"| {' | '.join(_cell(row.get(name)) for name in columns)} |" for row in rows]
        lines.append("")
    if "not run" in part:
        lines.append(f"Not run: {part['not run']}.")
    if "error" in part:
        lines.append(f"Failed: {part['error']}")
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


def _python(
    *arguments: str, seconds: float, folder: str | Path = ROOT, **variables: str
) -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, *arguments], _here(**variables)
    return subprocess.run(  # noqa: S603 - ours
        command, cwd=folder, env=environment, timeout=max(30.0, seconds),
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def _lcma(folder: str, run: Run, *arguments: str) -> str:
    done = _python("-m", "lcma", *arguments, seconds=run.seconds_left, folder=folder)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise RuntimeError(f"lcma {arguments[0]} ended with {done.returncode}: {last}")
    return done.stdout


if __name__ == "__main__":
    raise SystemExit(main())
