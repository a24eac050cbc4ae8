"""Plug-ins: flows, factorization rules and measures of one's own, from a file or a package.

A plug-in is Python code, and loading it runs it: docs/extending.md. Only what planning needs is
declared here, as data; the function that builds a flow imports torch.
"""

import hashlib
import sys
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

from lcma.sweeps import architectures, catalog, factorizations, measures
from lcma.sweeps.architectures import Architecture, FlowFacts
from lcma.sweeps.errors import UserError, describe_error
from lcma.sweeps.factorizations import FactorizationRule, Reads
from lcma.sweeps.input_files import open_regular
from lcma.sweeps.measures import PLUGIN_NAME, Direction, PluginMeasure

GROUP = "lcma.plugins"
"""Entry points of installed plug-ins: each is a module, or a callable that registers."""

MAX_BYTES = 1_000_000
_MARK = "__lcma_plugin__"
_PACKAGE = "lcma_plugin_"

F = TypeVar("F", bound=Callable[..., Any])
Declared = FlowFacts | FactorizationRule | PluginMeasure


@dataclass(frozen=True)
class Plugin:
    """A loaded plug-in, as another process can find it again.

    ``version`` enters the ids of the trials that need it: `sha256:` and the digest of the file,
    or name and version of the installed distribution. ``path`` is absolute, None for an installed
    one.
    """

    name: str
    version: str
    path: str | None
    provides: tuple[str, ...] = ()


def factorization(
    name: str,
    *,
    reads: Reads = "nothing",
    least_splits: int = 1,
    most_splits: int | None = None,
) -> Callable[[F], F]:
    """Register the decorated function as a factorization rule.

    The function is called as (shape, split, seed, values) for each split, counted from 1, with
    ``shape`` (C, H, W) of what is split. It returns a boolean mask of ``shape`` that is True for
    the half that stays, or the pair (kept, left) of integer arrays (2C, H/2, W/2) with flat
    indices into ``shape``. ``seed`` is 0 unless the rule reads the seed, and ``values`` is None
    unless it reads maps: then it is the contribution map (C, H, W), read-only, at the dimensions
    that are still there. The function must return the same whenever it is called.

    Args:
        name: Lower case letters, digits and dashes, such as `columns`.
        reads: What the rule depends on beside ``shape`` and ``split``: `nothing`, `seed` or
            `maps`. A rule that reads maps needs budgets.
        least_splits: Fewest splits for which it is meant.
        most_splits: Most splits for which it is meant, None for any number.

    Raises:
        ValueError: If ``reads`` or the numbers of splits make no sense.

    Example:
        >>> import numpy as np
        >>> @factorization("left-column")
        ... def left_column(shape, split, seed, values):
        ...     stays = np.zeros(shape, dtype=bool)
        ...     stays[:, :, 0::2] = True
        ...     return stays
        >>> left_column((1, 2, 2), 1, 0, None).tolist()
        [[[True, False], [True, False]]]
    """
    _require_words(name=name)
    if reads not in ("nothing", "seed", "maps"):
        raise ValueError(f"a rule reads 'nothing', 'seed' or 'maps', not {reads!r}")
    if least_splits < 1 or (most_splits is not None and most_splits < least_splits):
        raise ValueError(f"no number of splits is from {least_splits} to {most_splits}")

    def declare(fill: F) -> F:
        return _declare(fill, FactorizationRule(name, fill, reads, least_splits, most_splits))

    return declare


def flow(
    name: str,
    *,
    architecture: type[Architecture],
    conventional: str,
    recipes: Mapping[str, Any],
    most_splits: int | None = None,
) -> Callable[[F], F]:
    """Register the decorated function as the builder of a flow.

    The function is called as (model, tables), with an index table for each split or None for no
    split (NMS), and returns the list of layers from data to noise and the last prior; see
    `lcma.models.builder.Parts`.

    Args:
        name: Lower case letters, digits and underscores, such as `nice`.
        architecture: Class of the flow's settings, derived from `Architecture`.
        conventional: The factorization that the flow has by itself; it reads no maps.
        recipes: The flow's profiles, laid out as a file in ``sweeps/recipes``.
        most_splits: Most splits that the flow can have, None for any number.

    Raises:
        TypeError: If ``architecture`` is not such a class.

    Example:
        >>> from lcma.sweeps.architectures import Architecture
        >>> class IdentityArchitecture(Architecture):
        ...     pass
        >>> recipes = {
        ...     "base": {"model": {"splits": 1}, "optimization": {"learning_rate": 0.001}},
        ...     "profiles": {"tiny": {"base": {"training": {"steps": 100}}}},
        ... }
        >>> @flow(
        ...     "identity",
        ...     architecture=IdentityArchitecture,
        ...     conventional="rows",
        ...     recipes=recipes,
        ... )
        ... def identity(model, tables):
        ...     from lcma.models.layers import Dequantize, PassAll
        ...     from lcma.models.priors import StandardNormal
        ...     from lcma.models.split import Split
        ...
        ...     split = PassAll() if tables is None else Split(tables[0], StandardNormal())
        ...     return [Dequantize(), split], StandardNormal()
    """
    _require_words(name=name, conventional=conventional)
    if not (isinstance(architecture, type) and issubclass(architecture, Architecture)):
        raise TypeError(f"the architecture of {name} must be a class made from Architecture")

    def declare(parts: F) -> F:
        facts = FlowFacts(
            name,
            architecture,
            conventional,
            most_splits=most_splits,
            parts=parts,
            recipes=recipes,
        )
        return _declare(parts, facts)

    return declare


def measure(name: str, *, unit: str, direction: Direction, meaning: str) -> Callable[[F], F]:
    """Register the decorated function as a measure, taken of every trial of the sweep.

    The function is called as (flow, images, seed) with the trained flow as it is evaluated, the
    images of a part of the data, a uint8 tensor (N, C, H, W) on the flow's device, and the seed of
    the trial, and returns the value, or the pair (value, standard error). It is called for the test
    part, which gives the measure of this name, and for the holdout part, which gives that of
    `holdout_NAME`, by which a study tunes. It must return the same whenever it is called.

    Args:
        name: Lower case letters, digits and underscores, such as `mean_latent`.
        unit: The unit in words, such as 'nats per image'.
        direction: Which values are better: 'lower' or 'higher'.
        meaning: What it is, in a few words.

    Raises:
        ValueError: If ``direction`` makes no sense.

    Example:
        >>> @measure("brightness", unit="levels", direction="lower", meaning="distance of means")
        ... def brightness(flow, images, seed):
        ...     import torch
        ...
        ...     generator = torch.Generator(images.device).manual_seed(seed)
        ...     drawn = flow.sample(16, generator)
        ...     return float((drawn.float().mean() - images.float().mean()).abs())
    """
    _require_words(name=name, unit=unit, meaning=meaning)
    if direction not in ("lower", "higher"):
        raise ValueError(f"'lower' or 'higher' values are better, not {direction!r}")

    def declare(compute: F) -> F:
        return _declare(compute, PluginMeasure(name, unit, direction, meaning, compute))

    return declare


def _require_words(**given: object) -> None:
    for name, value in given.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} is a text, not {value!r}")


def load_file(path: Path, expected: str | None = None) -> Plugin:
    """Run a plug-in file and register what it declares; once for each content.

    An edited file takes the place of what it registered before, and so does a copy of it; what
    files registered that are gone is forgotten. Raises UserError, with nothing
    registered, for a file that cannot be read, raises, or declares nothing or a name that is
    taken; and, before it is run, for one whose version is not the ``expected``.
    """
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    version = f"sha256:{digest}"
    if expected is not None and version != expected:
        raise UserError(
            f"plug-in {path} is not what the sweep was planned with (sha256 {digest[:12]}, not "
            f"{expected.removeprefix('sha256:')[:12]}): launch the sweep again"
        )
    key = str(path)
    before = _LOADED.get(key)
    if before is not None and before.version == version:
        return before
    module = ModuleType(_PACKAGE + digest[:16])
    module.__file__ = key

    def run() -> None:
        # What runs is what the digest is of, whatever becomes of the file meanwhile.
        sys.modules[module.__name__] = module
        try:
            code = compile(content, key, "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - a plug-in is code that the person named
        except BaseException:
            del sys.modules[module.__name__]
            raise

    declared = _declared_by(key, run)
    for one in loaded():  # other processes read the file that is named
        if one.version == version or (one.path is not None and not Path(one.path).exists()):
            _drop(one.name)
    return _admit(key, Plugin(key, version, key), declared)


def load_installed() -> tuple[Plugin, ...]:
    """Load the plug-ins of installed distributions, once. Raises UserError as `load_file` does."""
    found = []
    for entry in _entry_points():
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown package"
        name = f"{entry.value} ({package})"
        if name not in _LOADED:
            _admit(name, Plugin(name, package, None), _declared_by(name, _loader(entry)))
        found.append(_LOADED[name])
    return tuple(found)


def load(wanted: Iterable[Plugin]) -> None:
    """Load the plug-ins of another process. Raises UserError if one is not the same here."""
    for plugin in wanted:
        if plugin.path is not None:
            load_file(Path(plugin.path), plugin.version)
        elif plugin.version not in {p.version for p in load_installed()}:
            raise UserError(
                f"plug-in {plugin.name} is not installed here in that version: install it on "
                f"every machine that works on the sweep"
            )


def loaded(versions: Iterable[str] | None = None) -> tuple[Plugin, ...]:
    """Return the loaded plug-ins in order: those of some versions, or all."""
    wanted = None if versions is None else set(versions)
    return tuple(p for p in _LOADED.values() if wanted is None or p.version in wanted)


def unload() -> None:
    """Forget every plug-in."""
    for key in list(_LOADED):
        _drop(key)
    _entry_points.cache_clear()


_LOADED: dict[str, Plugin] = {}
_collecting: list[list[Declared]] = []


def _declare(function: F, declared: Declared) -> F:
    setattr(function, _MARK, declared)
    if _collecting:
        _collecting[-1].append(declared)
    return function


def _declared_by(name: str, run: Callable[[], ModuleType | None]) -> list[Declared]:
    """Run a plug-in and return what it, or the module that it returns, has declared.

    Raises UserError if that is nothing.
    """
    _collecting.append([])
    try:
        module = run()
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - the person's code may raise any
        raise UserError(f"plug-in {name}: {describe_failure(error, name)}") from None
    finally:
        declared = _collecting.pop()
    if module is not None:  # it may have been imported before
        marked = [getattr(value, _MARK, None) for value in vars(module).values()]
        declared += [m for m in marked if isinstance(m, Declared) and m not in declared]
    if not declared:
        raise UserError(
            f"plug-in {name} registers nothing: put @lcma.factorization(...), @lcma.flow(...) or "
            f"@lcma.measure(...) before a function"
        )
    return declared


def _loader(entry: metadata.EntryPoint) -> Callable[[], ModuleType | None]:
    def run() -> ModuleType | None:
        found = entry.load()
        if isinstance(found, ModuleType):
            return found
        found()
        return None

    return run


def _admit(key: str, plugin: Plugin, declared: list[Declared]) -> Plugin:
    """Register all of a plug-in, in place of what was loaded from there before, or nothing."""
    before, added = _registered_by(key), list[Declared]()
    for one in before:
        _forget(one)
    try:
        for one in declared:
            named = replace(one, plugin=plugin.name, version=plugin.version)
            _add(named)
            added.append(named)
            if isinstance(named, FlowFacts):
                _check_flow(named)
    except Exception as error:
        for one in added:
            _forget(one)
        for one in before:
            _add(one)
        mistake = isinstance(error, ValueError | UserError)
        text = str(error) if mistake else describe_error(error)
        text = text if plugin.name in text else f"plug-in {key}: {text}"
        raise UserError(text) from error
    provides = tuple(f"{_WORDS[type(one)]} {one.name}" for one in added)
    _LOADED[key] = replace(plugin, provides=provides)
    return _LOADED[key]


_WORDS = {FlowFacts: "flow", FactorizationRule: "factorization", PluginMeasure: "measure"}


def _add(one: Declared) -> None:
    if isinstance(one, PluginMeasure):
        measures.add(one)
    elif isinstance(one, FactorizationRule):
        factorizations.add(one)
    else:
        architectures.add(one)


def _check_flow(facts: FlowFacts) -> None:
    """Raise UserError or ValueError for an impossible name, recipe or conventional rule."""
    if not PLUGIN_NAME.fullmatch(facts.name):
        raise ValueError(
            f"a flow cannot be named {facts.name!r}: use lower case letters, digits and _"
        )
    known = factorizations.normalize(facts.conventional)
    if known in ("conventional", "none") or factorizations.needs_maps(known):
        raise ValueError(f"{known!r} cannot be the conventional factorization of {facts.name}")
    catalog.profiles(facts.name)


def _registered_by(key: str) -> list[Declared]:
    name = _LOADED[key].name if key in _LOADED else None
    registers: tuple[Iterable[Declared], ...] = (
        factorizations.RULES.values(),
        architectures.REGISTERED.values(),
        measures.plugin_measures(),
    )
    return [one for register in registers for one in register if name and one.plugin == name]


def _drop(key: str) -> None:
    for one in _registered_by(key):
        _forget(one)
    del _LOADED[key]


def _forget(one: Declared) -> None:
    if isinstance(one, PluginMeasure):
        measures.remove(one)
    elif isinstance(one, FactorizationRule):
        factorizations.forget(one.name)
    else:
        architectures.forget(one.name)


@cache
def _entry_points() -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=GROUP))


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        why = f"{error.strerror}; check `plugins`, or LCMA_PLUGINS"
        raise UserError(f"cannot read the plug-in {path}: {why}") from None
    if len(content) > MAX_BYTES:
        raise UserError(f"the plug-in {path} is larger than {MAX_BYTES:,} bytes")
    return content


def describe_failure(error: BaseException, plugin: str) -> str:
    """Return `line 7: NameError: ...`, with the last line of the plug-in's own that was reached.

    ``plugin`` is its name; a failure that did not come through its file has no line.
    """
    line = error.lineno if isinstance(error, SyntaxError) else _find_line(error, {plugin})[1]
    text = f"SyntaxError: {error.msg}" if isinstance(error, SyntaxError) else describe_error(error)
    return f"line {line}: {text}" if line else text


def locate_failure(error: BaseException) -> str:
    """Return ` (mine.py, line 7)`, the last line of a loaded plug-in's file that was reached.

    It is empty for a failure that came through none.
    """
    file, line = _find_line(error, {one.name for one in _LOADED.values()})
    return f" ({file}, line {line})" if line else ""


def _find_line(error: BaseException, plugins: Collection[str]) -> tuple[str, int | None]:
    frames = traceback.extract_tb(error.__traceback__)
    found = [(frame.filename, frame.lineno) for frame in frames if frame.filename in plugins]
    return found[-1] if found else ("", None)
