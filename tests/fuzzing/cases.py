"""The makers of cases, one for each kind of input.

A maker is called with a number, a source of random choices, a room for files and the templates, and
returns the case. Numbers count through what must each be tried once, such as all keys.
"""

import copy
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import socket
import sqlite3
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import typer
import yaml

from lcma.harness.cli import main as cli
from lcma.harness.place import Place
from lcma.harness.run.worker import run_work
from lcma.sweeps import catalog, measures
from tests.fuzzing.running import Case, Room
from tests.fuzzing.templates import SPEC, Templates, is_left, plan_nodes

Maker = Callable[[int, Random, Room, Templates], Case]

MAKERS: dict[str, tuple[Maker, int]] = {}
"""The makers by kind, and how many cases of each `make fuzz` runs."""

PAYLOADS: dict[str, list[str]] = {
    name: [value for line in lines for value in (line if isinstance(line, list) else [line])]
    for name, lines in yaml.safe_load(Path(__file__).with_name("payloads.yaml").read_text()).items()
}

EVIL = "\x1b]0;pwn\x07\u202e\x9b31m\u2066"
TEXTS = (*PAYLOADS["texts"], "x" * 5000, "\udcff")
NUMBERS = (*PAYLOADS["numbers"], "9" * 5000)

VALUES: dict[str, tuple[Any, ...]] = {
    "nothing": (None,),
    "truth": (True, False),
    "number": (0, -1, 1, 3, 7, 10**6, 2**31, 2**63, 2**64, 10**400),
    "fraction": (0.5, 0.0, -0.0, -1.5, 1e-320, 1e308, float("nan"), float("inf"), -float("inf")),
    "text": (*(t for t in TEXTS if t != "\udcff"), *NUMBERS),
    "list": ([], [None], [[]], [0], [-1, 2.5], ["x", "x"], [EVIL], [{}], list(range(3000))),
    "mapping": ({}, {"": 1}, {"a": {"b": {}}}, {EVIL: EVIL}, {"x" * 5000: 1}, {"__class__": 1}),
    "date": (date(1, 1, 1), date(9999, 12, 31)),
    "bytes": (b"", b"\xff\x00", {"x"}),
}

SECRETS = ("hunter2fish", "swordfish7")


def make(kind: str, number: int, room: Room, templates: Templates) -> Case:
    """Return a case of a kind, the same whenever it is made."""
    return MAKERS[kind][0](number, Random(f"{kind} {number}"), room, templates)


def pick(choices: Sequence[Any], number: int) -> Any:
    """Return the choice of a number, counted round."""
    return choices[number % len(choices)]


def maker(count: int) -> Callable[[Maker], Maker]:
    """Register the decorated function as the maker of its name."""

    def register(function: Maker) -> Maker:
        MAKERS[function.__name__] = function, count
        return function

    return register


# Changes of bytes, trees and files


def mangle(random: Random, raw: bytes) -> bytes:
    """Return bytes with an accident."""
    content = bytearray(raw)
    at = random.randrange(len(raw)) if raw else 0
    how = random.randrange(9)
    if how == 0:
        return raw[:at]
    if how == 1:
        return raw + random.randbytes(50)
    if how == 2:
        return b""
    if how == 3:
        return raw[:at] + random.randbytes(8) + raw[at:]
    if how == 4:
        return raw[:at] + raw[at + random.randrange(1, 2000) :]
    if how == 5:
        return random.randbytes(len(raw) % 5000)
    if how == 6 and len(raw) > 8:
        at = random.randrange(min(len(raw) - 4, 200))
        content[at : at + 4] = random.choice((b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"))
        return bytes(content)
    for _ in range(random.choice((1, 3, 30))):
        if raw:
            content[random.randrange(len(raw))] ^= 1 << random.randrange(8)
    return bytes(content)


def mangle_file(random: Random, path: Path) -> None:
    path.write_bytes(mangle(random, path.read_bytes()))


def nodes_of(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all values in a tree."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from nodes_of(value, (*path, key))


def change_tree(random: Random, tree: Any, path: tuple[Any, ...], value: Any) -> Any:
    """Return a copy of a tree with a value put at a path, or that part of it changed otherwise."""
    changed = copy.deepcopy(tree)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    how = random.randrange(10)
    if how == 0:
        del parent[path[-1]]
    elif how == 1 and isinstance(parent, dict):
        parent[random.choice((EVIL, "x", str(path[-1]) + "s", "x" * 5000))] = value
    elif how == 2:
        parent[path[-1]] = [parent[path[-1]], value]
    else:
        parent[path[-1]] = value
    return changed


def make_special(random: Random, path: Path, room: Room) -> None:
    """Put something at a path that is no regular file, or a link out of the room."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds: list[Callable[[], object]] = [
        lambda: os.mkfifo(path),
        path.mkdir,
        lambda: path.symlink_to(path.name),
        lambda: path.symlink_to("nothing"),
        lambda: path.symlink_to(room.forbidden / "file"),
        lambda: path.symlink_to(room.forbidden),
        lambda: _make_socket(path),
        path.touch,
        lambda: path.write_bytes(b"\0" * 100),
    ]
    if os.geteuid() == 0:
        device = stat.S_IFCHR | 0o600
        kinds.append(lambda: os.mknod(path, device, os.makedev(1, 5)))  # endless zeros
        kinds.append(lambda: os.mknod(path, device, os.makedev(1, 3)))
    random.choice(kinds)()


def _make_socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # names of sockets are short
    try:
        with closing(socket.socket(socket.AF_UNIX)) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def code_pickle(random: Random, room: Room) -> bytes:
    """Return a pickle that makes the file `ran` where it is loaded."""

    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {room.ran}",)

    return pickle.dumps({b"data": Planted(), b"labels": [1]}, random.choice((0, 2, 4)))


# Sweep files


SPEC_PATHS = tuple(nodes_of(SPEC))


def _write_spec(room: Room, templates: Templates, text: str | bytes, command: str = "plan") -> Case:
    templates.copy_place(room.here)
    (room.here / "x.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
    missing = ["--dataset", "cifar10", "--local"]  # not there, so that nothing is run
    return Case([command, "x.yaml", "--data", "data", *([] if command == "plan" else missing)])


@maker(9 * len(SPEC_PATHS))
def spec(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Every key of a sweep file with a value of every type."""
    path = pick(SPEC_PATHS, number)
    kind = pick(list(VALUES), number // len(SPEC_PATHS))
    tree = change_tree(random, SPEC, path, random.choice(VALUES[kind]))
    command = random.choice(("plan",) * 6 + ("launch", "tune"))
    case = _write_spec(room, templates, yaml.safe_dump(tree, allow_unicode=True), command)
    return case if command != "plan" else Case([*case.command, *random.choice(([], ["--json"]))])


@maker(150)
def yaml_text(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """The text of a sweep file, shipped or not."""
    names = [f"{name}" for name in catalog.shipped_specs()]
    text = catalog.shipped_spec(random.choice(names)).read_text()
    if random.random() < 0.5:
        text = yaml.safe_dump(SPEC)
    ran = room.ran
    bomb = "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]\n" for k in range(1, 9))
    planted = [tag.replace("RAN", str(ran)) for tag in PAYLOADS["tags"]]
    planted += ["[" * 3000, "{a: " * 2000]
    changes: tuple[Callable[[], str | bytes], ...] = (
        lambda: mangle(random, text.encode()),
        lambda: re.sub(r": [^\n]+$", f": {random.choice(planted)}", text, count=1, flags=re.M),
        lambda: f"{text}\nx: {random.choice(planted)}\n",
        lambda: f"{text}\nplugins: {random.choice(planted)}\n",
        lambda: f"{text}\nname: again\n",
        lambda: f"a0: &a0 [x, x]\n{bomb}{text}",
        lambda: text.encode("utf-16"),
        lambda: b"\xef\xbb\xbf" + text.encode(),
        lambda: text.replace("\n", "\r\n"),
        lambda: text.replace("  ", "\t"),
        lambda: text + "---\n" + text,
        lambda: text + "#" * 10**6,
        lambda: text.replace("e", random.choice(("\0", EVIL, "\x85", "\ufeff", "é"))),
        lambda: random.choice(planted),
    )
    case = _write_spec(room, templates, random.choice(changes)())
    if random.random() < 0.1:
        make_special(random, room.here / "x.yaml", room)
    return case


# What is typed


def list_options() -> list[tuple[tuple[str, ...], Any]]:
    """Return every command with each of its options and arguments."""
    found = []

    def walk(command: Any, path: tuple[str, ...]) -> None:
        for name, sub in getattr(command, "commands", {}).items():
            walk(sub, (*path, name))
        if not hasattr(command, "commands"):
            found.extend((path, one) for one in command.params)

    walk(typer.main.get_command(cli.app), ())
    return found


VALID: dict[str, list[str]] = {
    "plan": ["small.yaml"],
    "launch": ["small.yaml", "--local", "--no-pictures"],
    "tune": ["spec.yaml", "--local"],
    "logs": ["TRIAL"],
    "why": ["TRIAL"],
    "reproduce": ["TRIAL"],
    "samples": ["TRIAL", "--count", "1", "--out", "out"],
    "measure": ["swd", "--samples", "20"],
    "curves": ["--out", "out"],
    "budgets": ["--out", "out"],
    "maps": ["--out", "out"],
    "sql": ["SELECT 1"],
    "data prepare": ["cats", "--from", "images", "--size", "8"],
    "data show": ["photos8"],
    "db backup": ["--out", "copy.db"],
    "db merge": ["crowd.db"],
    "db publish": ["out.sqlite"],
}
"""Words after a command that make it a valid one."""

REFUSED: dict[str, list[str]] = {
    "launch": ["--dataset", "cifar10"],
    "tune": ["--dataset", "cifar10"],
    "reproduce": ["--data", "nowhere"],
    "serve": ["--host", "0.0.0.0"],
}
"""What comes last, so that a command that would start processes or a server is refused."""

ENDLESS = {"--watch", "--follow", "--download", "--ray"}
"""Options that make a command wait for others."""

FAULTS = {"db check", "db merge", "doctor"}
"""Commands that end with 1 where they find something."""

OPTIONS = [pair for pair in list_options() if not ENDLESS & set(pair[1].opts)]


def codes_of(name: str) -> frozenset[int]:
    return frozenset({0, 1, 2} if name in FAULTS else {0, 2})


def split_name(command: str) -> tuple[str, list[str]]:
    """Return the name of a command, and the words after it."""
    words = command.split()
    long = " ".join(words[:2])
    name = long if any(" ".join(path) == long for path, _ in OPTIONS) else words[0]
    return name, words[len(name.split()) :]


def command_of(name: str, more: Sequence[str], templates: Templates) -> list[str]:
    """Return a command, valid but for what is given, at the places of a room."""
    words = [*name.split(), *VALID.get(name, ()), *more, *REFUSED.get(name, ())]
    return [templates.trials[0] if word == "TRIAL" else word for word in words]


def _fill(random: Random, room: Room, templates: Templates) -> dict[str, str]:
    """Put everything into the room, and return the variables that name it."""
    templates.copy_place(room.here)
    templates.copy_source("images", room.here)
    database = random.choice(("lcma.db", "crowd.db"))
    return {"LCMA_DB": database, "LCMA_RUNS": "runs", "LCMA_DATA": "data"}


@maker(2 * len(OPTIONS))
def options(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Every option and argument of every command."""
    variables = _fill(random, room, templates)
    path, one = pick(OPTIONS, number)
    name = " ".join(path)
    value = random.choice(random.choice((TEXTS, NUMBERS)))
    if random.random() < 0.2:
        value = random.choice(("lcma.db", "images", "data", "out/x.png", "../forbidden/x.db"))
    more = [random.choice(one.opts)]
    is_flag = getattr(one, "is_flag", False) and random.random() < 0.9
    more += [] if is_flag else [value] * max(1, one.nargs)
    if one.param_type_name == "argument":
        return Case([*path, value, *REFUSED.get(name, ())], variables, codes=codes_of(name))
    return Case(command_of(name, more, templates), variables, codes=codes_of(name))


@maker(100)
def words(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Any words."""
    variables = _fill(random, room, templates)
    path, _ = random.choice(OPTIONS)
    name = " ".join(path)
    command = command_of(name, [], templates)
    others = [word for path, one in random.sample(OPTIONS, 9) for word in (*path, *one.opts)]
    for _ in range(random.choice((1, 2, 3))):
        at = random.randrange(len(command) + 1)
        command[at:at] = [random.choice((*others, *TEXTS, *NUMBERS, "--help", "--version", "-h"))]
    if ENDLESS & set(command) or {"-w", "-f"} & set(command):
        command = ["plan"]
    unsafe = {"launch", "tune", "serve", "reproduce"} & set(command)
    return Case([*command, *(["--nonsense"] if unsafe else [])], variables, codes=codes_of(name))


# Places and the environment


def _reading(random: Random, templates: Templates) -> Case:
    """Return one of the commands that read the database."""
    name, more = split_name(random.choice(PAYLOADS["reads"]))
    return Case(command_of(name, more, templates), codes=codes_of(name))


@maker(120)
def environment(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Variables of the environment."""
    variables = _fill(random, room, templates)
    case = _reading(random, templates)
    name = pick(PAYLOADS["variables"], number)
    value = random.choice((*TEXTS, *NUMBERS, "rule.py", "../forbidden/plugin.py", "os:system:true"))
    if name == "PYTHONIOENCODING":
        value = random.choice(("ascii", "latin-1", "cp1252", "utf-8"))
    if name in ("HOME", "LCMA_CACHE", "XDG_CACHE_HOME", "LCMA_SPOOL") and random.random() < 0.3:
        make_special(random, room.here / "special", room)
        value = "special"
    if name == "TMPDIR":
        value = str(room.here / "nowhere")
    case.environment = variables | {name: value}
    return case


@maker(200)
def url(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """URLs of databases and of places for checkpoints, with secrets in them."""
    variables = _fill(random, room, templates)
    dirt = random.choice(
        ("", "@", ":", "/", "?", "#", "%", "%zz", "[", "]", " ", "é", "&", "://", "\\")
    )
    secret = dirt.join(SECRETS)
    schemes = ("postgresql", "postgresql+psycopg", "postgres", "mysql", "sqlite", "sqlite+pysqlite")
    schemes += ("http", "s3", "gs", "sftp", "ftp", "memory", "file", "nonsense", "", "postgresql+x")
    scheme = random.choice(schemes)
    host = random.choice(
        ("127.0.0.1:1", "[::1]:1", "[bad", "", "h:p:q", "127.0.0.1:99999", "x@127.0.0.1:1")
    )
    at = random.choice(
        (f"u:{secret}@", f":{secret}@", f"{secret}:@", "u@", f"u:{secret}@u:{secret}@")
    )
    if at == f"{secret}:@":  # a name of a user is no secret
        at = "u:@"
    end = random.choice(("/d", "/", "", "/d/e", f"/d?password={secret}", f"/d?token={secret}&x=1"))
    where = f"{scheme}://{at}{host}{end}"
    if random.random() < 0.1:
        where = where.replace("://", random.choice((":", ":/", ":///", "::")))
    if random.random() < 0.1:
        where = f"simplecache::{where}"
    place, names = random.choice(
        (
            ("LCMA_DB", ("status", "board", "db init", "db upgrade", "db check", "plan", "doctor")),
            (
                "LCMA_RUNS",
                ("samples", "clean", "doctor", "measure swd"),
            ),
        )
    )
    name, more = split_name(random.choice(names))
    option = f"--{place[5:].lower()}"
    if random.random() < 0.5:
        more = [*more, option, where]
    else:
        variables[place] = where
    if name == "db init" and random.random() < 0.2:
        name, more = "db merge", [where]
        return Case(["db", "merge", where], variables, SECRETS, codes_of(name))
    command = command_of(name, more, templates)
    secrets = () if scheme == "file" else SECRETS  # a path has none
    return Case(command, variables, secrets, codes_of(name))


# Images and data sets


@maker(120)
def images(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """A folder of images of one's own."""
    folder = templates.copy_source("images", room.here)
    files = sorted(folder.iterdir())
    for path in random.sample(files, random.choice((1, 1, 5, 60))):
        how = random.randrange(6)
        if how < 3 and path.is_file():
            mangle_file(random, path)
        elif how == 3:
            make_special(random, path, room)
        elif how == 4:
            path.write_bytes(code_pickle(random, room))
        else:
            name = random.choice((EVIL, "a\nb", "-", "é" * 100, "\udcff", "x" * 240, "%s[]"))
            path.rename(folder / f"{name}{path.suffix}")
    flags = random.sample(("--skip-bad", "--grey-to-rgb", "--json"), random.randrange(3))
    size = random.choice(("8", "4", "8", "16"))
    return Case(
        ["data", "prepare", "cats", "--size", size, "--from", "images", "--to", "d", *flags]
    )


SETS = ("cifar10", "cifar10-tar", "imagenet32", "imagenet32-png", "celeba64", "celeba64-zip")


@maker(240)
def archive(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Files of data sets in their official layouts: pickles, npz, tar, zip, lists."""
    source = pick(SETS, number)
    folder = templates.copy_source(source, room.here)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = random.choice(files)
    members = (
        "../../forbidden/file",
        "/forbidden",
        EVIL,
        "x" * 5000,
        "a\\..\\b",
        "C:x",
        "a\0b.npy",
    )
    how = random.randrange(8)
    if how < 3:
        mangle_file(random, path)
    elif how == 3:
        make_special(random, path, room)
    elif how == 4:
        path.write_bytes(code_pickle(random, room))
    elif zipfile.is_zipfile(path):
        _add_to_zip(random, path, random.choice(members), room)
    elif path.name.endswith(".tar.gz"):
        _rewrite_tar(random, path, random.choice(members), room)
    elif "cifar" in source and path.suffix != ".gz":
        _rewrite_pickle(random, path)
    elif path.suffix == ".txt":
        lines = path.read_text().splitlines()
        lines[random.randrange(len(lines))] = random.choice(
            (EVIL, "../../forbidden/x.jpg 0", "a 9")
        )
        path.write_text("\n".join(lines))
    else:
        path.rename(path.with_name(random.choice(("é.png", "a\nb.png", f"{EVIL}.jpg"))))
    name = source.removesuffix("-tar").removesuffix("-zip")
    where = f"{source}/cifar.tar.gz" if source == "cifar10-tar" else source
    flags = random.sample(("--skip-bad", "--json"), random.randrange(2))
    return Case(["data", "prepare", name, "--from", where, "--to", "d", *flags])


def _rewrite_pickle(random: Random, path: Path) -> None:
    content = pickle.loads(path.read_bytes())
    values = [value for values in VALUES.values() for value in values if value != 10**400]
    content[random.choice((b"data", b"labels", b"x", 5))] = random.choice(values)
    path.write_bytes(pickle.dumps(content, random.choice((0, 2, 5))))


def _add_to_zip(random: Random, path: Path, name: str, room: Room) -> None:
    with zipfile.ZipFile(path) as packed:
        content = {one: packed.read(one) for one in packed.namelist()}
    how = random.randrange(5)
    with zipfile.ZipFile(path, "w", random.choice((0, 8, 12, 14))) as packed:
        for one, raw in content.items():
            if how == 0 and one.endswith(".npy"):
                raw = random.choice(
                    (
                        code_pickle(random, room),
                        raw.replace(b"|u1", b"|O8"),
                        raw.replace(b"(5, 3072)", b"(9, 9**9)"),
                        raw.replace(b"3072", b"-3072"),
                        raw.replace(b"False", b"True "),
                        raw.replace(b"{'descr'", b"[" * 8),
                        mangle(random, raw),
                    )
                )
            packed.writestr(one, mangle(random, raw) if how == 1 else raw)
        if how == 2:
            packed.writestr(zipfile.ZipInfo(name), b"x")
        if how == 3:
            link = zipfile.ZipInfo("link.jpg")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            packed.writestr(link, str(room.forbidden / "file"))
        if how == 4:
            packed.writestr("bomb.jpg", bytes(3 * 10**7), zipfile.ZIP_DEFLATED)


def _rewrite_tar(random: Random, path: Path, name: str, room: Room) -> None:
    with tarfile.open(path) as packed:
        content = {one.name: packed.extractfile(one) for one in packed if one.isfile()}
        raws = {one: file.read() for one, file in content.items() if file}
    how = random.randrange(6)
    with tarfile.open(path, random.choice(("w:gz", "w:gz", "w:bz2", "w"))) as packed:
        for one, raw in raws.items():
            changed = raw
            if how == 0 and random.random() < 0.3:
                changed = random.choice((code_pickle(random, room), mangle(random, raw)))
            info = tarfile.TarInfo(one)
            info.size = len(changed)
            packed.addfile(info, io.BytesIO(changed))
        info = tarfile.TarInfo(name.replace("\0", ""))
        if how == 1:
            info.type, info.linkname = tarfile.SYMTYPE, str(room.forbidden / "file")
        if how == 2:
            info.type = random.choice((tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.LNKTYPE, b"Z"))
        if how == 3:
            info.size = 10**8
            packed.addfile(info, io.BytesIO(bytes(10**8)))
        elif how:
            packed.addfile(info)


@maker(120)
def prepared(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """A prepared set."""
    variables = _fill(random, room, templates) | {"LCMA_DB": "lcma.db"}
    folder = room.here / "data" / "photos8"
    path = random.choice(sorted(folder.iterdir()))
    how = random.randrange(5)
    if how == 0:
        make_special(random, path, room)
    elif path.suffix == ".json" and how < 4:
        content = json.loads(path.read_text())
        at = random.choice(list(nodes_of(content)))
        value = random.choice(
            VALUES[random.choice(("nothing", "number", "text", "list", "mapping"))]
        )
        path.write_text(json.dumps(change_tree(random, content, at, value)))
    elif path.suffix == ".npy" and how == 1:
        raw = path.read_bytes()
        old, new = random.choice(
            (
                (b"'|u1'", b"'|O8'"),
                (b"'<i4'", b"'|O4'"),
                (b"False", b"True "),
                (b", 8, 8)", b",-8,-8)"),
            )
        )
        path.write_bytes(raw.replace(old, new))
    elif how == 2:
        folder.rename(folder.with_name(random.choice((EVIL, "cats", "é", "digits"))))
    else:
        mangle_file(random, path)
    if random.random() < 0.1:
        (room.here / "data" / random.choice((EVIL, "x\ny"))).mkdir()
    commands = ("data list", "data show", "data verify", "data prepare", "plan", "samples")
    name = random.choice((*commands, "measure swd", "doctor"))
    more = ["photos8"] if name in ("data verify", "data show") and random.random() < 0.7 else []
    command = command_of(name, [], templates) if not more else [*name.split(), *more]
    if name == "data prepare":
        command = ["data", "prepare", "photos8"]
    return Case(command, variables, codes=codes_of(name))


# Databases and runs


def _hostile_sql(random: Random, connection: sqlite3.Connection) -> None:
    """Change a database behind the store's back."""
    tables = [
        row[0]
        for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        if not row[0].startswith("sqlite_")
    ]
    full = [t for t in tables if connection.execute(f'SELECT count(*) FROM "{t}"').fetchone()[0]]
    table = random.choice(full)
    columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
    views = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'view'")
    ]
    view = random.choice(views)
    how = random.randrange(12)
    values: tuple[Any, ...] = (
        EVIL,
        "",
        None,
        0,
        -1,
        2**63 - 1,
        1e308,
        float("inf"),
        b"\xff\x00",
        "é",
    )
    values += (
        "x" * 5000,
        "../../forbidden/file",
        "{}",
        "[" * 3000,
        '{"a":',
        "2026-01-01",
        0.5,
        "0",
    )
    if how < 6:
        column, value = random.choice(columns), random.choice(values)
        where = random.choice(("", f" WHERE rowid = (SELECT max(rowid) FROM {table})"))
        connection.execute(f'UPDATE "{table}" SET "{column}" = ?{where}', (value,))
    elif how == 6:
        connection.execute(f'DELETE FROM "{table}"')
    elif how == 7:
        connection.execute(f'DROP TABLE "{table}"')
    elif how == 8:
        connection.execute(f"DROP VIEW {view}")
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        body = random.choice(
            (f"{endless} SELECT i AS id FROM n", "SELECT 1 AS id", "SELECT * FROM x")
        )
        connection.execute(f"CREATE VIEW {view} AS {body}")
    elif how == 9:
        connection.execute(
            f'CREATE TRIGGER t AFTER {random.choice(("INSERT", "UPDATE"))} ON "{table}" '
            f"BEGIN DELETE FROM jobs; END"
        )
    elif how == 10:
        connection.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{random.choice(columns)}" TO zz')
    else:
        name = random.choice(("application_id", "user_version", "encoding", "auto_vacuum"))
        connection.execute(f"PRAGMA {name} = {random.choice((0, 7, 2**31 - 1, -1))}")
    with suppress(sqlite3.Error):
        connection.execute(f"PRAGMA journal_mode = {random.choice(('wal', 'delete', 'delete'))}")


def change_sql(random: Random, path: Path) -> None:
    """Change rows or the schema of a SQLite file, where it lets us."""
    with closing(sqlite3.connect(path)) as connection:
        for pragma in ("foreign_keys = OFF", "ignore_check_constraints = ON"):
            connection.execute(f"PRAGMA {pragma}")
        for _ in range(random.choice((1, 1, 3))):
            with suppress(sqlite3.Error):
                _hostile_sql(random, connection)
                connection.commit()


@maker(400)
def database(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Database files."""
    variables = _fill(random, room, templates)
    path = room.here / variables["LCMA_DB"]
    how = random.randrange(10)
    if how < 6:
        change_sql(random, path)
    elif how < 8:
        mangle_file(random, path)
    elif how == 8:
        side = path.with_name(path.name + random.choice(("-wal", "-journal")))
        side.write_bytes(random.choice((b"", b"\0" * 5000, random.randbytes(5000))))
        if random.random() < 0.3:
            make_special(random, side, room)
    else:
        make_special(random, path, room)
    case = _reading(random, templates)
    if case.command[:2] == ["db", "merge"]:
        source, target = random.choice(
            ((path.name, "new.db"), (path.name, "lcma.db"), ("lcma.db", path.name))
        )
        case = Case(["db", "merge", source], codes=case.codes)
        variables["LCMA_DB"] = target
    case.environment = variables
    return case


@maker(120)
def artifact(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Weights, their rows, and the folder of runs."""
    variables = _fill(random, room, templates) | {"LCMA_DB": "lcma.db"}
    runs = room.here / "runs"
    weights = random.choice(sorted(runs.rglob("*.safetensors")))
    how = random.randrange(6)
    with closing(sqlite3.connect(room.here / "lcma.db")) as connection:
        if how < 2:
            paths = (
                "../forbidden/file",
                str(room.forbidden / "file"),
                EVIL,
                "",
                ".",
                "a/../../x",
                "x" * 5000,
            )
            column, value = random.choice(
                (
                    ("path", random.choice(paths)),
                    (
                        "place",
                        random.choice((EVIL, "", f"s3://u:{SECRETS[0]}@b", "h:/x", "http://a")),
                    ),
                    ("sha256", random.choice((EVIL, "", "0" * 64))),
                    ("bytes", random.choice((0, -1, 2**62, EVIL))),
                )
            )
            with suppress(sqlite3.Error):
                connection.execute(f"UPDATE artifacts SET {column} = ?", (value,))
        elif how < 4:
            _mangle_weights(random, weights)
            digest = hashlib.sha256(weights.read_bytes()).hexdigest()
            with suppress(sqlite3.Error):
                connection.execute(
                    "UPDATE artifacts SET digest = ?, bytes = ? WHERE path LIKE ?",
                    (digest, weights.stat().st_size, f"%{weights.parent.name}/{weights.name}"),
                )
        elif how == 4:
            make_special(random, weights, room)
        else:
            _change_runs(random, runs, room)
        connection.commit()
    name = random.choice(("samples", "measure swd", "clean", "clean", "db check", "export"))
    more = random.choice(([], ["--lost"], ["--weights"], ["--dry-run"])) if name == "clean" else []
    more = ["--format", "html", "--out", "out"] if name == "export" else more
    return Case(command_of(name, more, templates), variables, codes=codes_of(name))


def _change_runs(random: Random, runs: Path, room: Room) -> None:
    one = random.choice([path for path in runs.iterdir() if path.is_dir()])
    choice = random.randrange(4)
    if choice == 0:
        shutil.rmtree(one)
        one.symlink_to(room.forbidden / "runs")
    elif choice == 1:
        (runs / f"{'0' * 20}-{'0' * 12}").symlink_to(room.forbidden / "runs")
    elif choice == 2:
        make_special(random, runs / f"{'0' * 20}-{'0' * 12}", room)
    else:
        make_special(random, one / f".{EVIL}.tmp", room)


def _mangle_weights(random: Random, path: Path) -> None:
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    if random.random() < 0.4:
        path.write_bytes(mangle(random, raw))
        return
    at = random.choice(list(nodes_of(header)))
    value = random.choice(VALUES[random.choice(("nothing", "number", "text", "list", "mapping"))])
    text = json.dumps(change_tree(random, header, at, value)).encode()
    if random.random() < 0.3:  # numbers that no training gives
        raw = raw[: 8 + length] + struct.pack("<f", random.choice((float("nan"), 3e38))) * (
            len(raw[8 + length :]) // 4
        )
        text = raw[8 : 8 + length]
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])


@maker(60)
def checkpoint(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """A checkpoint that a training goes on from: changed, with a name that fits its content."""
    templates.copy_place(room.here)
    (path,) = room.here.joinpath("runs").rglob("*.kept.pt")
    if random.random() < 0.2:
        make_special(random, path, room)
    else:
        raw = path.read_bytes()
        path.unlink()
        raw = (
            code_pickle(random, room)
            if random.random() < 0.1
            else _rewrite_state(random, raw, room)
        )
        digest = hashlib.sha256(raw).hexdigest()[:16]
        path.with_name(f"step-000000010.{digest}.kept.pt").write_bytes(raw)

    def train() -> None:
        place = Place("sqlite:///lcma.db", room.here / "runs", room.here / "data")
        (node,) = [node for node in plan_nodes(place) if is_left(node)]
        report = run_work(node.work)
        print(report.ending)
        assert report.ending in ("done", "diverged", "failed"), report

    return Case([], call=train, codes=frozenset({0}))


def _rewrite_state(random: Random, raw: bytes, room: Room) -> bytes:
    """Change what is in the archive of a checkpoint."""
    import torch

    how = random.randrange(4)
    if how == 0:
        return mangle(random, raw)
    if how == 1:
        with zipfile.ZipFile(io.BytesIO(raw)) as packed:
            content = {one: packed.read(one) for one in packed.namelist()}
        changed = io.BytesIO()
        with zipfile.ZipFile(changed, "w") as packed:
            for name, old in content.items():
                new = code_pickle(random, room) if name.endswith("data.pkl") else old
                packed.writestr(name, new)
        return changed.getvalue()
    state = torch.load(io.BytesIO(raw), weights_only=True)
    values = [
        v for kind in VALUES for v in VALUES[kind] if kind != "date" and not isinstance(v, set)
    ]
    values += [torch.zeros(3), torch.full((2, 2), float("nan")), torch.zeros(1, dtype=torch.int64)]
    at = random.choice(list(nodes_of(state)))
    file = io.BytesIO()
    torch.save(change_tree(random, state, at, random.choice(values)), file)
    return file.getvalue()


# Plug-ins and measures


@maker(120)
def plugin(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Plug-in files, whose code is run, and paths that lead to none."""
    variables = _fill(random, room, templates)
    text = repr(random.choice((EVIL, "x" * 5000, "", "a\nb")))
    anything = repr(random.choice([v for k, vs in VALUES.items() if k != "bytes" for v in vs][:40]))
    anything = anything.replace("nan", "float('nan')").replace("inf", "float('inf')")
    body: str | bytes = random.choice(PAYLOADS["plugins"]).replace("TEXT", text)
    body = body.replace("ANYTHING", anything)
    rule = room.here / "rule.py"
    if random.random() < 0.2:
        body = mangle(random, rule.read_bytes())
    rule.write_bytes(body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body)
    if random.random() < 0.1:
        make_special(random, rule, room)
    command = random.choice((["plan", "spec.yaml"], ["tune", "spec.yaml", *REFUSED["tune"]]))
    case = Case(command, variables)
    if random.random() < 0.2:
        case = _reading(random, templates)
        case.environment = variables | {"LCMA_PLUGINS": "rule.py"}
    return case


@maker(60)
def measure(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Measures: their names, their rows, and what those of plug-ins return."""
    variables = _fill(random, room, templates)
    known = [one.name for one in measures.SHIPPED]
    name = random.choice((*TEXTS[:12], *known, "brightness", "bits_per_dim "))
    how = random.randrange(4)
    if how == 0:
        case = Case(["export", "--by", name])
    elif how == 1:
        case = Case(["serve", "--by", name, "--host", "0.0.0.0"])
    elif how == 2:
        tree = copy.deepcopy(SPEC)
        tree["tune"]["measure"] = name
        (room.here / "x.yaml").write_text(yaml.safe_dump(tree))
        case = Case(["plan", "x.yaml"])
    else:
        with closing(sqlite3.connect(room.here / variables["LCMA_DB"])) as connection:
            connection.execute("PRAGMA ignore_check_constraints = ON")
            columns = [row[1] for row in connection.execute("PRAGMA table_info(measures)")]
            values = (name, None, float("inf"), -1e308, "nan", b"\xff", 2**62)
            with suppress(sqlite3.Error):
                connection.execute(
                    f"UPDATE measures SET {random.choice(columns)} = ?", (random.choice(values),)
                )
            connection.commit()
        case = _reading(random, templates)
    case.environment = variables
    return case


# Queries and outputs


@maker(100)
def sql(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Queries."""
    variables = _fill(random, room, templates)
    attack = random.choice(
        (*PAYLOADS["queries"], "SELECT (" * 500, f"SELECT {','.join('1' * 3000)}")
    )
    if random.random() < 0.2:
        attack = mangle(random, attack.encode()).decode("latin-1").replace("\0", "")
    flags = random.choice(([], ["--format", "csv"], ["--format", "json"], ["--all"], ["--json"]))
    return Case(["sql", attack, "--timeout", "2", *flags], variables)


@maker(160)
def output(number: int, random: Random, room: Room, templates: Templates) -> Case:
    """Places to write to."""
    variables = _fill(random, room, templates)
    name, rest = split_name(pick(PAYLOADS["outputs"], number))
    end = random.choice(("", ".png", ".svg", ".csv", ".db"))
    path = room.here / random.choice((f"target{end}", f"folder/target{end}"))
    how = random.randrange(4)
    if how < 3:
        make_special(random, path, room)
        if path.is_symlink() and path.is_dir():  # folders on the way may be links
            path.unlink()
            path.symlink_to(room.here / "images")
        if random.random() < 0.3:
            path = path / f"below{end}"
    where = os.path.relpath(path, room.here)
    if how == 3:
        where = random.choice((*(t for t in TEXTS if t), "../forbidden", "x/" * 200 + "y"))
    valid = [word for word in VALID.get(name, ()) if word not in ("--out", "out", "copy.db")]
    command = [*name.split(), *valid, *rest, where]
    command = [templates.trials[0] if word == "TRIAL" else word for word in command]
    return Case(command, variables, codes=codes_of(name))
