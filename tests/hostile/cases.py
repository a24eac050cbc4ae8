"""Hostile input of every kind for the commands.

A maker returns a case. It is called with the number of the case, a source of random choices, a room
for files, and the templates. By the number it covers each thing once, such as each option.
"""

import copy
import hashlib
import io
import json
import os
import re
import shutil
import socket
import sqlite3
import stat
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from random import Random
from typing import Any, get_args

import typer
import yaml
from pydantic import BaseModel

from lcma import db
from lcma.harness.cli import main as cli
from lcma.harness.launch.plan import make_plan, make_works, register_plan
from lcma.harness.place import Place
from lcma.harness.work.units import Work
from lcma.harness.work.worker import run_work
from lcma.sweeps import spec as specs
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.recipe import Recipe
from tests.harness.conftest import SMALL, merged, prepare_few_photos
from tests.hostile import layouts
from tests.hostile.layouts import code_pickle, copy_layout, mangle, mangle_file
from tests.hostile.rooms import Case, Room

HERE = Path(__file__).parent
PAYLOADS: dict[str, list[str]] = yaml.safe_load((HERE / "payloads.yaml").read_text())
EVIL = "\x1b]0;pwn\x07\u202e\x9b31m\u2066"
TEXTS = (*PAYLOADS["texts"], "x" * 5000, "9" * 5000, "\udcff")
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 7, 2**31, 2**63, 2**64, 0.5, -0.0, 1e-320, 1e308, "", "x", "1", EVIL),
    *(float("nan"), float("inf"), "x" * 5000, "../../forbidden/file", "9" * 5000),
    *([], [None], [[]], [-1, 2.5], ["x", "x"], list(range(3000))),
    *({}, {"": 1}, {"a": {"b": {}}}, {EVIL: EVIL}, {"__class__": 1}),
)
SECRETS = ("hunter2fish", "swordfish7")
TRAINED = merged(
    SMALL, {"matrix": {"budget": [10, 20]}, "keep": {"checkpoints": "last", "snapshots": "all"}}
)
RULE = """\
import numpy as np
import lcma

@lcma.factorization("stripes")
def stripes(shape, split, seed, values):
    stays = np.zeros(shape, dtype=bool)
    stays[:, 0::2] = True
    return stays
"""


class Templates:
    """Valid inputs. A case changes a copy of them.

    ``place`` has small.yaml, rule.py, lcma.db, runs and data. ``sources`` has the layouts of data
    sets.
    """

    def __init__(self, folder: Path) -> None:
        self.place, self.sources = folder / "place", folder / "sources"
        self.place.mkdir()
        layouts.write_layouts(self.sources)
        prepare_few_photos(self.place / "data", 30)
        (self.place / "rule.py").write_text(RULE)
        (self.place / "small.yaml").write_text(yaml.safe_dump(TRAINED))
        place = Place(f"sqlite:///{folder / 'lcma.db'}", self.place / "runs", self.place / "data")
        reports: dict[str, Any] = {}
        for work in plan_works(place):
            if not is_left(work) and (work.after is None or work.after in reports):
                reports[work.job_id] = run_work(work)
        assert [report.ending for report in reports.values()] == ["done"] * 3
        with closing(sqlite3.connect(folder / "lcma.db")) as connection:
            connection.execute("VACUUM INTO ?", (str(self.place / "lcma.db"),))
            (self.trial,) = connection.execute("SELECT min(trial_id) FROM results").fetchone()

    def fill(self, room: Room) -> dict[str, str]:
        """Copy all except the sources into a room; return the variables that name the places."""
        shutil.copytree(self.place, room.here, dirs_exist_ok=True)
        return {"LCMA_DB": "lcma.db", "LCMA_RUNS": "runs", "LCMA_DATA": "data"}


def plan_works(place: Place) -> list[Work]:
    """Return the jobs of the trained sweep at a place."""
    store = db.connect(place.db)
    plan = make_plan(specs.check(TRAINED, "hostile"), place, store)
    register_plan(plan, place, store)
    return make_works(plan, place, owner="hostile:1", device="cpu")


def is_left(work: Work) -> bool:
    """Return whether a job is the one that the templates do not run; it has a checkpoint."""
    return work.job.budget == 20 and work.job.kind == "pretraining"


Maker = Callable[[int, Random, Room, Templates], Case]
MAKERS: dict[str, tuple[Maker, int]] = {}
"""The makers by kind, with the number of their cases."""


def maker(count: int) -> Callable[[Maker], Maker]:
    """Register the decorated function as the maker of its name."""

    def register(function: Maker) -> Maker:
        MAKERS[function.__name__] = function, count
        return function

    return register


def make(kind: str, number: int, room: Room, templates: Templates) -> Case:
    """Return a case of a kind; it is the same each time."""
    return MAKERS[kind][0](number, Random(f"{kind} {number}"), room, templates)


# Changes of trees and files


def nodes_of(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values in a tree."""
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from nodes_of(value, (*path, key))


def change_tree(random: Random, tree: Any, values: Sequence[Any] = VALUES) -> Any:
    """Return a copy of a tree with one value changed, removed, doubled or put under another key."""
    changed, value = copy.deepcopy(tree), random.choice(values)
    *path, last = random.choice(list(nodes_of(tree)))
    parent = changed
    for key in path:
        parent = parent[key]
    change = random.randrange(10)
    if change == 0:
        del parent[last]
    elif change == 1 and isinstance(parent, dict):
        parent[random.choice((EVIL, "x", f"{last}s", "x" * 5000))] = value
    else:
        parent[last] = [parent[last], value] if change == 2 else value
    return changed


def make_special(random: Random, path: Path, forbidden: Path) -> None:
    """Put something other than a regular file at a path, such as a link to a forbidden file."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds: list[Callable[[], object]] = [
        *(lambda: os.mkfifo(path), path.mkdir, path.touch, lambda: path.write_bytes(b"\0" * 100)),
        *(lambda: path.symlink_to(path.name), lambda: path.symlink_to("nothing")),
        *(lambda: path.symlink_to(forbidden / "file"), lambda: make_socket(path)),
        lambda: path.symlink_to(forbidden),
    ]
    if os.geteuid() == 0:  # /dev/zero and /dev/null
        device = stat.S_IFCHR | 0o600
        kinds += [lambda: os.mknod(path, device, os.makedev(1, 5))]
        kinds += [lambda: os.mknod(path, device, os.makedev(1, 3))]
    random.choice(kinds)()


def make_socket(path: Path) -> None:
    """Make a socket; its folder becomes the current one, since its name must be short."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with closing(socket.socket(socket.AF_UNIX)) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


# The command line and the environment


def list_options() -> list[tuple[str, Any]]:
    """Return every command with each of its options and arguments."""
    pairs = []

    def walk(command: Any, path: tuple[str, ...]) -> None:
        for name, sub in getattr(command, "commands", {}).items():
            walk(sub, (*path, name))
        if not hasattr(command, "commands"):
            pairs.extend((" ".join(path), param) for param in command.params)

    walk(typer.main.get_command(cli.app), ())
    return pairs


ENDLESS = {"--watch", "--follow", "--download", "--ray"}
"""Options that make a command wait for others."""
OPTIONS = [pair for pair in list_options() if not ENDLESS & set(pair[1].opts)]
COMMANDS = list(dict.fromkeys(name for name, _ in OPTIONS))
REFUSED = {
    "launch": ["--dataset", "cifar10"],  # not prepared
    "tune": ["--dataset", "cifar10"],
    "reproduce": ["--data", "nowhere"],
    "serve": ["--by", "nothing"],
}
"""Last words of commands that would start processes or a server, so that they are refused."""
WORDS = {"spec": "small.yaml", "query": "SELECT 1", "source": "lcma.db", "out": "out.sqlite"}
NAMES = {"data prepare": "cats", "data show": "photos8", "measure": "swd"}
MORE = {"data prepare": ["--from", "images", "--size", "8"], "samples": ["--count", "1"]}
READING = [name for name in COMMANDS if name not in REFUSED and not name.startswith("data")]


def command_of(name: str, templates: Templates, *words: str) -> list[str]:
    """Return a valid command in a room, with these words too."""
    values = WORDS | {"trial": templates.trial, "name": NAMES.get(name, "photos8")}
    arguments = [
        values.get(param.name, "x")
        for command, param in OPTIONS
        if command == name and param.param_type_name == "argument"
        if param.required or param.name == "trial"
    ]
    out = ["--out", "out"] if any(c == name and "--out" in o.opts for c, o in OPTIONS) else []
    ends = (*MORE.get(name, ()), *words, *REFUSED.get(name, ()))
    return [*name.split(), *arguments, *out, *ends]


def make_reading_case(random: Random, templates: Templates, variables: dict[str, str]) -> Case:
    """Return a command that reads the database."""
    name = random.choice(READING)
    flags = [o.opts[0] for c, o in OPTIONS if c == name and o.opts[0] == "--json"]
    flags = random.choice(([], flags))
    return Case(command_of(name, templates, *flags), variables, SECRETS, (0, 1, 2))


@maker(-(-len(OPTIONS) // 3))
def options(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Options and arguments of every command, and any words between them."""
    variables = templates.fill(room)
    copy_layout(templates.sources, "images", room.here)
    name, param = random.choice(OPTIONS[3 * number : 3 * number + 3])
    places = ["lcma.db", "images", "data", "out/x.png", "../forbidden/x.db"]
    if "--out" in param.opts:
        places.pop()  # who names it there wants a file there
    value = random.choice((*TEXTS, *places * 2))
    if param.param_type_name == "argument":
        command = [*name.split(), value, *REFUSED.get(name, ())]
    else:
        values = [] if getattr(param, "is_flag", False) else [value] * max(1, param.nargs)
        command = command_of(name, templates, random.choice(param.opts), *values)
    if number % 8 == 0:
        others = [word for _, param in random.sample(OPTIONS, 9) for word in param.opts]
        word = random.choice((*others, *TEXTS, "--help", "--version", "-h"))
        command.insert(random.randrange(len(command) + 1), word)
        command += ["--nonsense"] if REFUSED.keys() & set(command) else []
    return Case(command, variables, codes=(0, 1, 2))


@maker(19)
def environment(number: int, random: Random, room: Room, templates: Templates) -> Case:
    variables = templates.fill(room)
    case = make_reading_case(random, templates, variables)
    names = PAYLOADS["variables"]
    name = names[number % len(names)]
    value = random.choice((*TEXTS, "rule.py", "../forbidden/plugin.py", f"os:system:{room.ran}"))
    if name == "PYTHONIOENCODING":
        value = random.choice(("ascii", "latin-1", "cp1252", "utf-8"))
    elif name == "TMPDIR":
        value = str(room.here / "nowhere")
    elif random.random() < 0.3:
        make_special(random, room.here / "special", room.forbidden)
        value = "special"
    case.environment = variables | {name: value}
    return case


@maker(24)
def url(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """URLs of databases and of places for checkpoints, with secrets in them."""
    variables = templates.fill(room)
    case = make_reading_case(random, templates, variables)
    url = make_url(random)
    variable = ("LCMA_DB", "LCMA_RUNS")[number % 2]
    option = f"--{variable[5:].lower()}"
    name = next(name for name in COMMANDS if case.command[: len(name.split())] == name.split())
    if number % 4 < 2 and any(c == name and option in o.opts for c, o in OPTIONS):
        case.command += [option, url]
    case.environment = variables | ({} if url in case.command else {variable: url})
    case.secrets = () if url.startswith("file") else SECRETS  # a path has none
    return case


def make_url(random: Random) -> str:
    """Return a URL, right or wrong, with a password or a token."""
    dirt = random.choice(("", *"@:/?#%[] é&\\", "%zz", "://"))
    secret = dirt.join(SECRETS)
    scheme = random.choice(PAYLOADS["schemes"])
    host = random.choice(("127.0.0.1:1", "[::1]:1", "[bad", "", "h:p:q", "127.0.0.1:99999"))
    user = random.choice((f"u:{secret}@", f":{secret}@", "u:@", "u@", f"u:{secret}@u:{secret}@"))
    end = random.choice(("/d", "/", "", "/d/e", f"/d?password={secret}", f"/d?token={secret}&x=1"))
    url = f"{scheme}://{user}{host}{end}"
    if random.random() < 0.1:
        url = url.replace("://", random.choice((":", ":/", ":///", "::")))
    return f"simplecache::{url}" if random.random() < 0.1 else url


# Files that are read


@maker(30)
def sweep_file(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Keys of a sweep file with values of every type, its text, and tags that would run code."""
    templates.fill(room)
    tags = [tag.replace("RAN", str(room.ran)) for tag in PAYLOADS["tags"]]
    bomb = "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 9))
    text = yaml.safe_dump(TRAINED)
    changes: tuple[Callable[[], str | bytes], ...] = (
        lambda: mangle(random, text.encode()),
        lambda: re.sub(r": [^\n]+$", f": {random.choice(tags)}", text, count=1, flags=re.M),
        lambda: f"{text}\nplugins: {random.choice(tags)}\n",
        lambda: f"{text}\nname: again\n",
        lambda: f"a0: &a0 [x, x]\n{bomb}{text}",
        lambda: text.encode("utf-16"),
        lambda: text.replace("\n", "\r\n").replace("  ", "\t"),
        lambda: text + "---\n" + text + "#" * 10**6,
        lambda: text.replace("e", random.choice(("\0", EVIL, "\x85", "\ufeff", "é"))),
        lambda: random.choice(("[" * 3000, "{a: " * 2000, *tags)),
    )
    if number % 2:
        content = change_key(TRAINED, random.choice(list_keys()), random.choice(VALUES))
        changed: str | bytes = yaml.safe_dump(content, allow_unicode=True)
    else:
        changed = changes[number // 2 % len(changes)]()
    path = room.here / "x.yaml"
    path.write_bytes(changed.encode() if isinstance(changed, str) else changed)
    if random.random() < 0.1:
        make_special(random, path, room.forbidden)
    command = random.choice((["plan"], ["plan", "--json"], ["launch", *REFUSED["launch"]]))
    return Case([*command, "x.yaml", "--data", "data"])


def list_keys() -> list[tuple[str, ...]]:
    """Return the paths of all keys of a sweep file."""
    architecture = REGISTERED["realnvp"].architecture
    return [
        *keys_of(specs.Spec),
        *keys_of(Recipe, "recipe"),
        *keys_of(architecture, "recipe", "model", "architecture"),
    ]


def keys_of(model: type[BaseModel], *path: str) -> list[tuple[str, ...]]:
    """Return the paths of the keys of a section and of those in it."""
    keys = []
    for name, field in model.model_fields.items():
        keys.append((*path, name))
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                keys += keys_of(kind, *path, name)
    return keys


def change_key(tree: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    """Return a sweep with a value under a key."""
    if path[0] == "exclude" and len(path) > 1:
        return tree | {"exclude": [{path[1]: value}]}
    for key in reversed(path):
        value = {key: value}
    return merged(tree, value)


@maker(24)
def database(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Database files: changed bytes, logs, rows and schemas."""
    variables = templates.fill(room)
    path = room.here / "lcma.db"
    if number % 4 < 2:
        change_sql(random, path)
    elif number % 4 == 2:
        mangle_file(random, path)
    elif number % 8 == 3:
        make_special(random, path, room.forbidden)
    else:
        side = path.with_name(path.name + random.choice(("-wal", "-journal")))
        side.write_bytes(random.choice((b"", b"\0" * 5000, random.randbytes(5000))))
        if random.random() < 0.3:
            make_special(random, side, room.forbidden)
    return make_reading_case(random, templates, variables)


def change_sql(random: Random, path: Path) -> None:
    """Change rows or the schema of a SQLite file, if SQLite allows the change."""
    values = (*(v for v in VALUES if isinstance(v, str | float | None)), -1, 2**62, b"\xff", "{")
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"
        relations = connection.execute(query).fetchall()
        tables = [name for kind, name in relations if kind == "table"]
        tables = [t for t in tables if connection.execute(f'SELECT 1 FROM "{t}"').fetchone()]
        table, view = random.choice(tables), random.choice([n for k, n in relations if k == "view"])
        columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
        column, value = random.choice(columns), random.choice(values)
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
        changes: list[tuple[str, ...]] = [
            *[(f'UPDATE "{table}" SET "{column}" = ?',)] * 4,
            (f'DELETE FROM "{table}"',),
            (f'DROP TABLE "{table}"',),
            (f"DROP VIEW {view}", f"CREATE VIEW {view} AS {endless}"),
            (f"DROP VIEW {view}", f"CREATE VIEW {view} AS SELECT * FROM x"),
            (f'CREATE TRIGGER t AFTER UPDATE ON "{table}" BEGIN DELETE FROM jobs; END',),
            (f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO zz',),
            (f"PRAGMA {random.choice(('application_id', 'user_version'))} = 7",),
        ]
        for pragma in ("foreign_keys = OFF", "ignore_check_constraints = ON"):
            connection.execute(f"PRAGMA {pragma}")
        with suppress(sqlite3.Error):
            for statement in random.choice(changes):
                connection.execute(statement, (value,) if "?" in statement else ())
            connection.commit()
        with suppress(sqlite3.Error):
            connection.execute(f"PRAGMA journal_mode = {random.choice(('wal', 'delete'))}")


@maker(20)
def artifact(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Weights, their rows, and the folder of runs."""
    variables = templates.fill(room)
    runs = room.here / "runs"
    weights = random.choice(sorted(runs.rglob("*.safetensors")))
    paths = ("../forbidden/file", str(room.forbidden / "file"), EVIL, "", ".", "a/../../x")
    places = (EVIL, "", f"s3://u:{SECRETS[0]}@b", "h:/x", "http://a")
    column, values = random.choice((("path", paths), ("place", places), ("bytes", (0, -1, 2**62))))
    with closing(sqlite3.connect(room.here / "lcma.db")) as connection, suppress(sqlite3.Error):
        if number % 3 == 0:
            connection.execute(f"UPDATE artifacts SET {column} = ?", (random.choice(values),))
        elif number % 3 == 1:
            raw = weights.read_bytes()
            end = 8 + int.from_bytes(raw[:8], "little")
            text = json.dumps(change_tree(random, json.loads(raw[8:end]))).encode()
            changed = len(text).to_bytes(8, "little") + text + raw[end:]
            weights.write_bytes(random.choice((changed, mangle(random, raw))))
            connection.execute(
                "UPDATE artifacts SET digest = ?, bytes = ? WHERE path LIKE ?",
                (
                    hashlib.sha256(weights.read_bytes()).hexdigest(),
                    weights.stat().st_size,
                    f"%{weights.name}",
                ),
            )
        elif random.random() < 0.5:
            make_special(random, weights, room.forbidden)
        else:
            (runs / f"{'0' * 20}-{'0' * 12}").symlink_to(room.forbidden / "runs")
        connection.commit()
    reads = [c for c, o in OPTIONS if "--runs" in o.opts and c not in REFUSED]
    return Case(command_of(random.choice(reads), templates), variables, SECRETS[:1], (0, 1, 2))


@maker(12)
def checkpoint(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """A changed checkpoint that a training resumes from; its name has its new digest."""
    import torch

    templates.fill(room)
    (path,) = room.here.joinpath("runs").rglob("*.kept.pt")
    raw = path.read_bytes()
    path.unlink()
    if number % 4 == 0:
        raw = random.choice((code_pickle(room.ran), mangle(random, raw)))
    elif number % 4 == 1:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            (name,) = [name for name in packed.namelist() if name.endswith("data.pkl")]
        (room.folder / "checkpoint").write_bytes(raw)
        layouts.rewrite_zip(room.folder / "checkpoint", {name: code_pickle(room.ran)})
        raw = (room.folder / "checkpoint").read_bytes()
    else:
        state, file = torch.load(io.BytesIO(raw), weights_only=True), io.BytesIO()
        values = (*VALUES, torch.zeros(3), torch.full((2, 2), float("nan")))
        torch.save(change_tree(random, state, values), file)
        raw = file.getvalue()
    digest = hashlib.sha256(raw).hexdigest()[:16]
    path.with_name(f"step-000000010.{digest}.kept.pt").write_bytes(raw)

    def train() -> None:
        place = Place("sqlite:///lcma.db", room.here / "runs", room.here / "data")
        (work,) = [work for work in plan_works(place) if is_left(work)]
        assert run_work(work).ending in ("done", "diverged", "failed")

    return Case([], call=train, codes=(0,))


@maker(24)
def plugin(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Plug-in files, whose code is run, and paths without a plug-in."""
    variables = templates.fill(room)
    anything = repr(random.choice(VALUES)).replace("nan", "float('nan')")
    body = PAYLOADS["plugins"][number % len(PAYLOADS["plugins"])].replace("TEXT", repr(EVIL))
    body = body.replace("ANYTHING", anything.replace("inf", "float('inf')"))
    rule, names = room.here / "rule.py", ("rule.py", "nothing.py", EVIL, "../forbidden/plugin.py")
    rule.write_text(body)
    if random.random() < 0.1:
        mangle_file(random, rule)
    elif random.random() < 0.1:
        make_special(random, rule, room.forbidden)
    content = TRAINED | {"plugins": [random.choice(("rule.py",) * 3 + names)]}
    (room.here / "x.yaml").write_text(yaml.safe_dump(content, allow_unicode=True))
    if random.random() < 0.2:
        return make_reading_case(random, templates, variables | {"LCMA_PLUGINS": "rule.py"})
    return Case(["plan", "x.yaml"], variables)


@maker(30)
def output(number: int, random: Random, room: Room, templates: Templates) -> Case:
    variables = templates.fill(room)
    options = {"--out", "--to", "--tensorboard", "--runs", "--db"}
    places = [(c, o) for c, o in OPTIONS if options & set(o.opts) and c not in REFUSED]
    name, param = places[number % len(places)]
    path = room.here / f"target{random.choice(('', '.png', '.csv', '.db'))}"
    if number % 4 == 3:
        value = random.choice((*(t for t in TEXTS if t), "x/" * 200 + "y"))
    else:
        make_special(random, path, room.forbidden)
        if path.is_symlink() and path.is_dir():  # folders on the way may be links
            path.unlink()
            path.symlink_to(room.here / "runs")
        value = os.path.relpath(path / "below" if random.random() < 0.3 else path, room.here)
    command = [word for word in command_of(name, templates) if word not in ("--out", "out")]
    return Case([*command, param.opts[0], value], variables, codes=(0, 1, 2))
