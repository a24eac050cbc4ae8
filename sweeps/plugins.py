"""Plug-ins: flows, factorization rules and measures of your own, from a file or a package.

Loading a plug-in runs its Python code (docs/extending.md). Planning needs only what a plug-in
declares here as data; a function that builds a flow imports torch when it is called.
"""

import hashlib
import io
import os
import sys
import threading
import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
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
from lcma.sweeps.input_files import open_regular, resolve_path
from lcma.sweeps.measures import PLUGIN_NAME, Direction, PluginMeasure

ENTRY_POINT_GROUP = "lcma.plugins"
"""Group of the entry points of installed plug-ins: modules, or functions that register."""

MAX_BYTES = 1_000_000
_ATTRIBUTE = "__lcma_plugin__"  # of a decorated function, with what it declares
_MODULE_PREFIX = "lcma_plugin_"

SLOW_SECONDS = 10.0
"""Seconds after which a plug-in that is still being loaded is named."""

F = TypeVar("F", bound=Callable[..., Any])
Declaration = FlowFacts | FactorizationRule | PluginMeasure

_REGISTERS: dict[type, tuple[str, Any]] = {
    FlowFacts: ("flow", architectures),
    FactorizationRule: ("factorization", factorizations),
    PluginMeasure: ("measure", measures),
}
"""For each class of declarations, its name and the module that registers them."""


@dataclass(frozen=True)
class Plugin:
    """A loaded plug-in, with what another process needs to load it too."""

    name: str
    # `sha256:` and the digest of the file, or name and version of the installed distribution. It
    # enters the ids of the trials that need the plug-in.
    version: str
    path: str | None  # absolute; None for an installed plug-in
    provides: tuple[str, ...] = ()  # such as `flow nice`


def factorization(
    name: str,
    *,
    reads: Reads = "nothing",
) -> Callable[[F], F]:
    """Register the decorated function as a factorization rule.

    The function is called for each split, more than once, as (shape, split, seed, values):

    - ``shape``: (C, H, W) of the tensor that is split.
    - ``split``: The number of the split, counted from 1.
    - ``seed``: The trial's seed if the rule reads it, else 0 (1 in a check).
    - ``values``: If the rule reads maps, the contribution map in nats, (C, H, W), read-only, at the
      dimensions that are left; else None.

    It returns a boolean mask of ``shape`` that is True for the half that stays, or the pair (kept,
    left) of integer arrays (2C, H/2, W/2) with flat indices into ``shape``. Equal arguments must
    give equal results.

    Args:
        name: Lower case letters, digits and dashes, such as `columns`.
        reads: What the rule depends on besides ``shape`` and ``split``: `nothing`, `seed` or
            `maps`. A rule that reads maps needs budgets.

    Raises:
        ValueError: If ``reads`` is none of the three.

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

    def declare(fill: F) -> F:
        return _declare(fill, FactorizationRule(name, fill, reads))

    return declare


def flow(
    name: str,
    *,
    architecture: type[Architecture],
    conventional: str,
    recipes: Mapping[str, Any],
) -> Callable[[F], F]:
    """Register the decorated function as the builder of a flow.

    The function is called as (model, tables), with an index table for each split, or None for a
    flow without splits (NMS). It returns the list of layers from data to noise, and the prior of
    the dimensions that stay; see `lcma.models.builder.Parts`.

    Args:
        name: Lower case letters, digits and underscores, such as `nice`.
        architecture: Class of the flow's settings, derived from `Architecture`.
        conventional: The flow's own factorization, which reads no maps.
        recipes: The flow's profiles, laid out as in a file in ``sweeps/recipes``.

    Raises:
        TypeError: If ``architecture`` is not derived from `Architecture`.

    Example:
        >>> from lcma.sweeps.architectures import Architecture
        >>> class IdentityArchitecture(Architecture):
        ...     pass
        >>> recipes = {
        ...     "base": {
        ...         "model": {"splits": 1, "architecture": {}},
        ...         "optimization": {"learning_rate": 0.001, "batch": 16},
        ...     },
        ...     "profiles": {"tiny": {"base": {"training": {"steps": 100}}, "sizes": {8: {}}}},
        ... }
        >>> @flow(
        ...     "identity",
        ...     architecture=IdentityArchitecture,
        ...     conventional="rows",
        ...     recipes=recipes,
        ... )
        ... def identity(model, tables):
        ...     from lcma.models.layers import Dequantize, PassAll
        ...     from lcma.models.norm import ChannelNorm
        ...     from lcma.models.priors import StandardNormal
        ...     from lcma.models.split import Split
        ...
        ...     split = PassAll() if tables is None else Split(tables[0], StandardNormal())
        ...     return [Dequantize(), ChannelNorm(model.channels), split], StandardNormal()
    """
    _require_words(name=name, conventional=conventional)
    if not (isinstance(architecture, type) and issubclass(architecture, Architecture)):
        raise TypeError(f"the architecture of {name} must be a class made from Architecture")

    def declare(parts: F) -> F:
        return _declare(
            parts,
            FlowFacts(
                name,
                architecture,
                conventional,
                parts=parts,
                recipes=recipes,
            ),
        )

    return declare


def measure(name: str, *, unit: str, direction: Direction, meaning: str) -> Callable[[F], F]:
    """Register the decorated function as a measure that every trial of a sweep takes.

    The function is called as (flow, images, seed):

    - ``flow``: The trained flow, in evaluation mode.
    - ``images``: Images of a part of the data, a tensor (N, C, H, W) on the
      flow's device, uint8 (float32 of a `-float` set).
    - ``seed``: The trial's seed.

    It returns the value, or the pair (value, standard error). Its value on the test part is the
    measure NAME; its value on the holdout part is `holdout_NAME`, which a study optimizes. Equal
    arguments must give equal results.

    Args:
        name: Lower case letters, digits and underscores, such as `mean_latent`.
        unit: The unit in words, such as `nats per image`.
        direction: Which values are better: `lower` or `higher`.
        meaning: What the measure is, in a few words.

    Raises:
        ValueError: If ``direction`` is neither of the two.

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


def _require_words(**arguments: object) -> None:
    for name, value in arguments.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} is a text, not {value!r}")


def load_file(path: Path, expected: str | None = None) -> Plugin:
    """Run a plug-in file and register what it declares, unless this content is loaded already.

    The file replaces an earlier version and other copies of itself. Plug-ins whose files no longer
    exist are unloaded.

    Args:
        path: The file.
        expected: The version that must be loaded. The file must have it unless it is loaded
            already; it is compared before the file is run.

    Raises:
        UserError: If the file cannot be read, has another version, raises, or declares nothing or a
            name that is taken. Then nothing of it is registered.
    """
    key = str(path)
    before = _LOADED.get(key)
    if before is not None and before.version == expected:
        return before  # the file may have changed since
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    version = f"sha256:{digest}"
    if expected is not None and version != expected:
        raise UserError(
            f"plug-in {path} is not what the sweep was planned with (sha256 {digest[:12]}, not "
            f"{expected.removeprefix('sha256:')[:12]}): put the file back, or launch the sweep "
            "again with --retry"
        )
    if before is not None and before.version == version:
        return before
    module = ModuleType(_MODULE_PREFIX + digest[:16])
    module.__file__ = key

    def run() -> None:
        # The code that runs has this digest, even if the file changes meanwhile.
        sys.modules[module.__name__] = module
        try:
            code = compile(content, key, "exec", dont_inherit=True)
            exec(code, module.__dict__)  # noqa: S102 - a plug-in is code that the user named
        except BaseException:
            del sys.modules[module.__name__]
            raise

    declarations = _collect_declarations(key, run)
    for plugin in loaded():
        # Of equal copies the last one counts: other processes load the file that was named.
        if plugin.version == version or (plugin.path and not Path(plugin.path).exists()):
            _drop(plugin.name)
    return _register_plugin(key, Plugin(key, version, key), declarations)


def load_named() -> None:
    """Load the files that LCMA_PLUGINS names. Raises UserError as `load_file` does."""
    for path in filter(None, os.environ.get("LCMA_PLUGINS", "").split(os.pathsep)):
        load_file(resolve_path(Path(path)))


def load_installed() -> tuple[Plugin, ...]:
    """Load the plug-ins of installed distributions, once. Raises UserError as `load_file` does."""
    plugins: list[Plugin] = []
    for entry in _find_entry_points():
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "unknown package"
        name = f"{entry.value} ({package})"
        if name not in _LOADED:
            found = _collect_declarations(name, _make_loader(entry))
            # What another module of the package declares may have been registered for that.
            siblings = (plugin.name for plugin in plugins if plugin.version == package)
            known = [_without_plugin(item) for key in siblings for item in _find_registered(key)]
            new = [item for item in found if _without_plugin(item) not in known]
            _register_plugin(name, Plugin(name, package, None), new)
        plugins.append(_LOADED[name])
    return tuple(plugins)


def load(plugins: Iterable[Plugin]) -> None:
    """Load plug-ins that another process has loaded.

    Raises:
        UserError: If one cannot be loaded here in the same version.
    """
    for plugin in plugins:
        if plugin.path is not None:
            load_file(Path(plugin.path), plugin.version)
        elif plugin.version not in {p.version for p in load_installed()}:
            raise UserError(
                f"plug-in {plugin.name} is not installed here in that version: install it on "
                f"every machine that works on the sweep"
            )


def loaded(versions: Iterable[str] | None = None) -> tuple[Plugin, ...]:
    """Return the loaded plug-ins in the order of loading: those of some versions, or all."""
    chosen = None if versions is None else set(versions)
    return tuple(p for p in _LOADED.values() if chosen is None or p.version in chosen)


def unload() -> None:
    """Unload all plug-ins."""
    for key in list(_LOADED):
        _drop(key)
    _find_entry_points.cache_clear()


_LOADED: dict[str, Plugin] = {}
_collecting: list[list[Declaration]] = []


def _declare(function: F, declaration: Declaration) -> F:
    setattr(function, _ATTRIBUTE, declaration)
    if _collecting:
        _collecting[-1].append(declaration)
    return function


def _collect_declarations(name: str, run: Callable[[], ModuleType | None]) -> list[Declaration]:
    """Run a plug-in and return the declarations that it made, or that its module has.

    Raises UserError if there are none.
    """
    _collecting.append([])
    try:
        with printing_to_stderr(), _naming_slow(name):
            module = run()
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - a plug-in may raise anything
        raise UserError(f"plug-in {name}: {describe_failure(error, name)}") from None
    finally:
        declarations = _collecting.pop()
    if module is not None:  # if it was imported before, running it declared nothing
        for value in vars(module).values():
            marked = getattr(value, _ATTRIBUTE, None)
            names = getattr(value, "__module__", ""), module.__name__
            is_own = len({name.partition(".")[0] for name in names}) == 1  # of the same package
            if is_own and isinstance(marked, Declaration) and marked not in declarations:
                declarations.append(marked)
    if not declarations:
        raise UserError(
            f"plug-in {name} registers nothing: put @lcma.factorization(...), @lcma.flow(...) or "
            f"@lcma.measure(...) before a function"
        )
    return declarations


class _StandardError(io.TextIOBase):
    """Standard error, which a plug-in cannot close."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


@contextmanager
def printing_to_stderr() -> Iterator[None]:
    """Print what is printed in the block, by code of plug-ins, on standard error.

    Standard output has results, which other programs may read.
    """
    with redirect_stdout(_StandardError()):
        yield


@contextmanager
def _naming_slow(name: str) -> Iterator[None]:
    """Name the plug-in on standard error if the block takes long, since it may never end."""
    line = f"lcma: plug-in {name!r} is still being loaded after {SLOW_SECONDS:g} s\n"
    timer = threading.Timer(SLOW_SECONDS, lambda: sys.stderr.write(line))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _make_loader(entry: metadata.EntryPoint) -> Callable[[], ModuleType | None]:
    def run() -> ModuleType | None:
        target = entry.load()
        if isinstance(target, ModuleType):
            return target
        target()
        return None

    return run


def _register_plugin(key: str, plugin: Plugin, declarations: list[Declaration]) -> Plugin:
    """Register all declarations in place of those of an earlier version, or change nothing."""
    before, added = _find_registered(key), list[Declaration]()
    for declaration in before:
        _unregister(declaration)
    try:
        for declaration in declarations:
            item = replace(declaration, plugin=plugin.name, version=plugin.version)
            _register(item)
            added.append(item)
            if isinstance(item, FlowFacts):
                _check_flow(item)
    except Exception as error:
        for declaration in added:
            _unregister(declaration)
        for declaration in before:
            _register(declaration)
        known = isinstance(error, ValueError | UserError)
        text = str(error) if known else describe_error(error)
        text = text if plugin.name in text else f"plug-in {key}: {text}"
        raise UserError(text) from error
    provides = tuple(f"{_REGISTERS[type(item)][0]} {item.name}" for item in added)
    _LOADED[key] = replace(plugin, provides=provides)
    return _LOADED[key]


def _without_plugin(declaration: Declaration) -> Declaration:
    return replace(declaration, plugin="", version="")


def _register(declaration: Declaration) -> None:
    _REGISTERS[type(declaration)][1].register(declaration)


def _unregister(declaration: Declaration) -> None:
    _REGISTERS[type(declaration)][1].unregister(declaration.name)


def _check_flow(facts: FlowFacts) -> None:
    """Raise UserError or ValueError for an invalid name, recipe or conventional rule."""
    if not PLUGIN_NAME.fullmatch(facts.name):
        raise ValueError(
            f"a flow cannot be named {facts.name!r}: use lower case letters, digits and _"
        )
    rule = factorizations.normalize(facts.conventional)
    reads_maps = factorizations.needs_maps(rule) or factorizations.needs_budget(rule)
    if rule in ("conventional", "none") or reads_maps:
        raise ValueError(f"{rule!r} cannot be the conventional factorization of {facts.name}")
    if rule != facts.conventional:
        raise ValueError(f"write the conventional factorization of {facts.name} as {rule!r}")
    catalog.profiles(facts.name)  # validates the recipes


def _find_registered(key: str) -> list[Declaration]:
    """Return the registered declarations of a loaded plug-in; none if it is not loaded."""
    if key not in _LOADED:
        return []
    registers: tuple[Iterable[Declaration], ...] = (
        factorizations.RULES.values(),
        architectures.REGISTERED.values(),
        measures.plugin_measures(),
    )
    name = _LOADED[key].name
    return [item for register in registers for item in register if item.plugin == name]


def _drop(key: str) -> None:
    for declaration in _find_registered(key):
        _unregister(declaration)
    del _LOADED[key]


@cache
def _find_entry_points() -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=ENTRY_POINT_GROUP))


def _read(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        hint = "check `plugins`, or LCMA_PLUGINS"
        raise UserError(f"cannot read the plug-in {path}: {error.strerror}; {hint}") from None
    if len(content) > MAX_BYTES:
        raise UserError(f"the plug-in {path} is larger than {MAX_BYTES:,} bytes")
    return content


def describe_failure(error: BaseException, plugin: str) -> str:
    """Return `line 7: NameError: ...`, with the last line of the plug-in that was reached.

    ``plugin`` is its name. If the error did not pass through its file, the line is left out.
    """
    line = error.lineno if isinstance(error, SyntaxError) else _find_line(error, {plugin})[1]
    text = f"SyntaxError: {error.msg}" if isinstance(error, SyntaxError) else describe_error(error)
    return f"line {line}: {text}" if line else text


def locate_failure(error: BaseException) -> str:
    """Return ` (mine.py, line 7)`, the last line of a loaded plug-in that was reached.

    Returns '' if the error passed through no plug-in.
    """
    file, line = _find_line(error, {plugin.name for plugin in _LOADED.values()})
    return f" ({file}, line {line})" if line else ""


def _find_line(error: BaseException, plugins: Collection[str]) -> tuple[str, int | None]:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [(frame.filename, frame.lineno) for frame in frames if frame.filename in plugins]
    return lines[-1] if lines else ("", None)
