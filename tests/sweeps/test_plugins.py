"""Plug-ins: what they register, their versions, and the errors of wrong ones."""

import pickle
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lcma.harness.launch.plan import Plan
from lcma.harness.launch.rehearsal import rehearse_plugins
from lcma.models import make_tables
from lcma.models.factorization import table_from_mask
from lcma.sweeps import factorizations, plugins, spec
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Expansion, expand
from tests.refusals import catch_refusal

pytestmark = pytest.mark.usefixtures("without_plugins")

RULE = """
from lcma.sweeps.plugins import factorization
import numpy as np

@factorization("columns"{options})
def columns(shape, split, seed, values):
    {body}
"""
COLUMNS = "stays = np.zeros(shape, dtype=bool); stays[:, :, 1::2] = True; return stays"
FLOW = """
from lcma.sweeps.architectures import Architecture, Count
from lcma.sweeps.plugins import flow

class Own(Architecture):
    depth: Count = 1

RECIPES = {
    "base": {"model": {"architecture": {"depth": 2}}, "optimization": {"learning_rate": 0.1}},
    "profiles": {"tiny": {"base": {"optimization": {"batch": 4}, "training": {"steps": 10}},
                          "sizes": {8: {"model": {"splits": 1}}}}},
}

@flow("own", architecture=Own, conventional="rows", recipes=RECIPES)
def own(model, tables):
    from lcma.models.layers import Dequantize, PassAll
    from lcma.models.priors import LearnedNormal
    from lcma.models.split import Split
    ends = [PassAll()] if tables is None else [Split(tables[0], LearnedNormal((6, 4, 4)))]
    return [Dequantize(), *ends], LearnedNormal((12 if tables is None else 6, 4, 4))
"""


def rule(body: str = COLUMNS, options: str = "") -> str:
    return RULE.format(body=body, options=options)


def write(folder: Path, text: str, name: str = "mine.py") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def expand_with(path: Path, **matrix: Any) -> Expansion:
    cells = {"flow": "realnvp", "dataset": "photos8", "factorization": ["columns", "rows"]}
    content = {"name": "x", "plugins": path.name, "matrix": cells | matrix}
    return expand(spec.check(content, "x.yaml", path.parent))


def test_a_rule_is_a_factorization_like_any_other(tmp_path: Path) -> None:
    columns, rows = expand_with(write(tmp_path, rule())).trials
    assert columns.factorization == "columns"
    assert columns.pretraining is None
    digest = plugins.loaded()[0].version
    assert (columns.rule, rows.rule) == (digest, None)
    assert columns.plugins == {digest}
    (table, _) = make_tables("columns", (3, 8, 8), 2)
    kept = np.zeros((3, 8, 8), dtype=bool)
    kept[:, :, 1::2] = True
    assert set(table.kept.ravel()) == set(np.flatnonzero(kept))
    assert table.kept[0, 0, 0] == 1


def test_what_a_plugin_prints_is_on_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Standard output stays open and holds results alone, such as the JSON of a plan."""
    text = rule(f"print('called'); {COLUMNS}") + "import sys\nprint('loaded')\nsys.stdout.close()\n"
    rehearse_plugins(Plan(expand_with(write(tmp_path, text)), (), ()))
    print("result")
    out, err = capfd.readouterr()
    assert (out, set(err.split())) == ("result\n", {"called", "loaded"})


def test_a_plugin_that_takes_long_to_load_is_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "SLOW_SECONDS", 0.01)
    slow = write(tmp_path, f"import time\ntime.sleep(0.5)\n{rule()}")
    plugins.load_file(slow)
    assert (
        capfd.readouterr().err
        == f"lcma: plug-in {str(slow)!r} is still being loaded after 0.01 s\n"
    )


def test_ids_depend_only_on_the_content_of_the_file_that_is_used(tmp_path: Path) -> None:
    path = write(tmp_path, rule())
    first = expand_with(path)
    body = first.spec.body
    write(tmp_path, rule() + "# edited\n")
    edited = expand_with(path)
    (columns, rows), (edited_columns, edited_rows) = first.trials, edited.trials
    assert edited_columns.id != columns.id
    assert edited_columns.map_options != columns.map_options
    assert edited_rows.id == rows.id
    assert columns.recipe.id == edited_columns.recipe.id == rows.recipe.id
    assert len(plugins.loaded()) == 1
    assert edited.spec.body != body
    plugins.unload()
    moved = expand_with(write(tmp_path, rule(), "other.py"))
    assert moved.trials[0].id == columns.id
    assert moved.spec.body == body


def test_a_rule_that_reads_maps_is_planned_like_a_word(tmp_path: Path) -> None:
    path = write(tmp_path, rule("return values > np.median(values)", ', reads="maps"'))
    (cell,) = expand_with(path, factorization="columns").cells
    assert cell.reason == "columns needs a contribution map: give `matrix.budget`"
    plan = expand_with(path, factorization=["columns", "low"], budget=[0, 10])
    assert [trial.budget for trial in plan.trials] == [0, 10, 0, 10]
    assert len(plan.pretrainings) == 1
    ranked = expand_with(
        path,
        factorization="columns",
        budget=10,
        recipe=[{"maps": {"order": x}} for x in ("raster", "rank")],
    )
    assert len(ranked.trials) == 1, "it does not see the order"
    values = np.random.default_rng(0).normal(size=(3, 8, 8))
    (table,) = make_tables("columns", (3, 8, 8), 1, maps=[values])
    assert values.ravel()[table.kept].min() > values.ravel()[table.left].max()


def test_a_rule_gets_the_seed_if_it_declares_that_it_reads_it(tmp_path: Path) -> None:
    body = "return np.random.RandomState(seed).permutation(192).reshape(shape) % 2 > 0"
    plugins.load_file(write(tmp_path, rule(body, ', reads="seed"')))
    first, again, other = (
        make_tables("columns", (3, 8, 8), 1, seed=seed)[0].permutation for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    plugins.load_file(write(tmp_path, rule(body)))
    with pytest.raises(UserError, match='declared with reads="seed"'):
        make_tables("columns", (3, 8, 8), 1, seed=1)


@pytest.mark.parametrize("name", ["checkerboard-even", "checkerboard-odd", "rows", "channel"])
def test_a_mask_is_laid_out_as_the_rule_of_the_same_mask(name: str) -> None:
    (table,) = make_tables(name, (4, 8, 8), 1)
    kept = np.zeros((4, 8, 8), dtype=bool)
    kept.ravel()[table.kept.ravel()] = True
    assert np.array_equal(table_from_mask(kept).permutation, table.permutation)


def test_a_flow_is_known_to_planning_and_its_version_is_in_every_id(tmp_path: Path) -> None:
    path = write(tmp_path, FLOW)
    plan = expand_with(path, flow="own", factorization=["conventional", "rows", "low"], budget=10)
    conventional, low = plan.trials
    assert [cell.same_as for cell in plan.cells] == [None, "conventional", None]
    assert conventional.recipe.model.plugin == plugins.loaded()[0].version
    write(tmp_path, FLOW + "# edited\n")
    edited = expand_with(path, flow="own", factorization=["conventional", "low"], budget=10)
    assert edited.trials[0].id != conventional.id
    assert edited.trials[1].id != low.id
    assert edited.pretrainings.keys() != plan.pretrainings.keys()


WRONG_FILES = [
    ("import nothing_of_that_name", "line 1: ModuleNotFoundError: No module named"),
    ("x = 1\nraise RuntimeError('no\\nway')", "line 2: RuntimeError: no way"),
    ("def f(:\n", "line 1: SyntaxError"),
    ("x = 1\n", "registers nothing: put @lcma.factorization"),
    (rule() + rule(), "the factorization 'columns' is registered by"),
    (rule().replace('"columns"', '"rows"'), "the factorization 'rows' is lcma's own"),
    (rule().replace('"columns"', '"patterns"'), "the factorization 'patterns' is lcma's own"),
    (rule().replace('"columns"', '"hll"'), "'hll' reads as a word over L and H"),
    (rule().replace('"columns"', '"keep-ba-cd"'), "'keep-ba-cd' reads as a pattern: choose"),
    (rule().replace('"columns"', '"My Rule"'), "a factorization cannot be named 'My Rule'"),
    (rule(options=', reads="map"'), "a rule reads 'nothing', 'seed' or 'maps', not 'map'"),
    (FLOW.replace('="rows"', '="rwos"'), "unknown factorization 'rwos': did you mean 'rows'?"),
    (FLOW.replace('"profiles"', '"profile"'), "unknown key `profile`"),
    (rule() + FLOW.replace('"own"', '"glow"'), "the flow 'glow' is lcma's own"),
]


@pytest.mark.parametrize(("text", "message"), WRONG_FILES)
def test_a_wrong_file_is_one_line_and_registers_nothing(
    tmp_path: Path, text: str, message: str
) -> None:
    before = dict(REGISTERED)
    path = write(tmp_path, text)
    catch_refusal(lambda: plugins.load_file(path), str(path), message)
    assert dict(REGISTERED) == before
    assert not factorizations.RULES
    assert not plugins.loaded()


def test_a_wrong_edit_leaves_the_loaded_plugin(tmp_path: Path) -> None:
    path = write(tmp_path, rule())
    first = plugins.load_file(path)
    write(tmp_path, rule().replace('"columns"', '"rows"'))
    with pytest.raises(UserError):
        plugins.load_file(path)
    assert plugins.loaded() == (first,)
    assert set(factorizations.RULES) == {"columns"}


def test_of_two_copies_of_a_file_the_one_named_last_counts(tmp_path: Path) -> None:
    first, copy = (write(tmp_path, rule(), name) for name in ("a.py", "b.py"))
    plugins.load_file(first)
    plugin = plugins.load_file(copy)
    assert plugins.loaded() == (plugin,)
    assert (plugin.path, factorizations.RULES["columns"].plugin) == (str(copy), str(copy))
    write(tmp_path, rule() + "# edited\n", "b.py")
    plugin = plugins.load_file(copy)
    assert plugins.loaded() == (plugin,)
    assert factorizations.RULES["columns"].version == plugin.version
    with pytest.raises(UserError, match=r"a.py: .*'columns' is registered by .*b.py too"):
        plugins.load_file(first)


def test_a_file_that_is_gone_registers_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, rule(), "a.py")
    plugins.load_file(path)
    path.unlink()
    plugin = plugins.load_file(write(tmp_path, rule() + "# other\n", "b.py"))
    assert plugins.loaded() == (plugin,)
    assert factorizations.RULES["columns"].version == plugin.version


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    parts = "none.py: No such file", "check `plugins`, or LCMA_PLUGINS"
    catch_refusal(lambda: expand_with(tmp_path / "none.py"), "cannot read the plug-in", *parts)


WRONG_RULES = [
    ("raise KeyError('lost')", "of (3, 8, 8): line 7: KeyError: 'lost'"),
    ("raise GeneratorExit('out')", "of (3, 8, 8): line 7: GeneratorExit: out"),
    ("return np.ones(shape, dtype=bool)", "192 of 192 dimensions stay: half of them must"),
    ("return np.ones((2, 2), dtype=bool)", "its mask has the shape (2, 2), not (3, 8, 8)"),
    ("return [1, 2]", "it returned a list: return a boolean mask"),
    ("return np.arange(2), np.arange(2)", "its halves have the shapes (2,) and (2,), not (6, 4, 4"),
    ("a = np.arange(96).reshape(6, 4, 4); return a, a", "are not a partition of 0 .. 191"),
    ("a = np.zeros((6, 4, 4)); return a, a", "its halves hold float64 and float64, not integers"),
    (
        "return np.random.permutation(np.arange(192) % 2).reshape(shape) > 0",
        "two calls returned different answers; draw only from `seed`, and declare the rule with",
    ),
    (
        "return np.random.RandomState([seed]).permutation(np.arange(192) % 2).reshape(shape) > 0",
        "its answer depends on `seed`, which is 0 in every trial unless the rule is declared with "
        'reads="seed"',
    ),
    (
        "return values > np.median(values.mean())",
        "line 7: AttributeError: 'NoneType' object has no attribute 'mean'; `values` is None "
        'unless the rule is declared with reads="maps"',
    ),
]


@pytest.mark.parametrize(("body", "message"), WRONG_RULES)
def test_a_rule_that_gives_no_halves_is_refused_before_a_launch(
    tmp_path: Path, body: str, message: str
) -> None:
    plan = Plan(expand_with(write(tmp_path, rule(body))), (), ())
    start = f"the factorization columns ({tmp_path}/mine.py) at split 1 of (3, 8, 8): "
    error = catch_refusal(lambda: rehearse_plugins(plan), start, message)
    assert ("`values` is None" in str(error)) == ("values" in body), "it would help"


@pytest.mark.parametrize("rule", ["low", "keep-da", "Rows", "none"])
def test_a_flows_own_rule_is_a_canonical_one_without_maps(tmp_path: Path, rule: str) -> None:
    path = write(tmp_path, FLOW.replace('"rows"', repr(rule)))
    catch_refusal(lambda: plugins.load_file(path), "the conventional factorization of own")


WRONG_FLOWS = [
    ("Dequantize(), *ends], Lear", "Dequantize()], Lear", "for each of the 1 splits"),
    ("return [Dequantize(), *ends], ", "return ", "must return a list of layers and a prior"),
    ("[Dequantize(), *ends]", "[Dequantize(), len, *ends]", "is no Layer of models.layers"),
    (
        "from lcma.models.layers",
        "raise KeyError('lost')\n    from lcma.models.layers",
        "mine.py): line 16: KeyError: 'lost'",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG_FLOWS)
def test_a_flow_that_cannot_be_built_is_refused_before_a_launch(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in FLOW
    path = write(tmp_path, FLOW.replace(old, new))
    plan = Plan(expand_with(path, flow="own", factorization="rows"), (), ())
    catch_refusal(lambda: rehearse_plugins(plan), f"the flow own ({path}): ", message)


def test_an_architecture_that_raises_is_one_line(tmp_path: Path) -> None:
    check = "Count = 1\n    def model_post_init(self, _): raise GeneratorExit('out')"
    path = write(tmp_path, FLOW.replace("Count = 1", check))
    message = "`model.architecture`: the plug-in raised GeneratorExit: out"
    catch_refusal(lambda: expand_with(path, flow="own", factorization="rows"), message)


def test_a_worker_loads_only_the_planned_content(tmp_path: Path) -> None:
    path = write(tmp_path, rule())
    plugin = plugins.load_file(path)
    plugins.unload()
    plugins.load(pickle.loads(pickle.dumps([plugin])))
    assert set(factorizations.RULES) == {"columns"}
    write(tmp_path, "raise SystemError('it was run')")
    plugins.load([plugin])  # a file that is edited does not end the work of this process
    plugins.unload()
    with pytest.raises(UserError, match=r"is not what the sweep was planned with .*--retry"):
        plugins.load([plugin])
    with pytest.raises(UserError, match="is not installed here"):
        plugins.load([plugins.Plugin("some (other 1.0)", "other 1.0", None)])


def install(folder: Path, version: str, *modules: str) -> None:
    facts = folder / f"own-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: own\nVersion: {version}\n")
    entries = "".join(f"{module.partition(':')[0]} = {module}\n" for module in modules)
    (facts / "entry_points.txt").write_text(f"[lcma.plugins]\n{entries}")


@pytest.mark.parametrize("order", [("a_rules", "b_rules"), ("b_rules", "a_rules")])
def test_a_module_of_a_package_may_import_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, order: tuple[str, ...]
) -> None:
    write(tmp_path, rule(), "a_rules.py")
    write(tmp_path, "from a_rules import *\n" + rule().replace("columns", "others"), "b_rules.py")
    version = "1.2.dev345+g0123456789"
    install(tmp_path, version, *order)
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in order:
        monkeypatch.delitem(sys.modules, module, raising=False)
    matrix = {"flow": "realnvp", "dataset": "photos8", "factorization": ["columns", "others"]}
    for _ in range(2):
        first, second = expand(spec.check({"name": "x", "matrix": matrix}, "here")).trials
        assert first.map_options == second.map_options == f'{{"rule":"own {version}"}}'
        plugins.unload()


@pytest.mark.parametrize("value", ["own_rules", "own_rules:start"])
def test_installed_packages_register_by_entry_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    """A module, or a function that is called."""
    late = "def start():\n" + textwrap.indent(rule(), "    ")
    write(tmp_path, rule() if value == "own_rules" else late, "own_rules.py")
    install(tmp_path, "1.2", value)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "own_rules", raising=False)
    matrix = {"flow": "realnvp", "dataset": "photos8", "factorization": "columns"}
    for _ in range(2):  # a module that is imported already registers as well
        (trial,) = expand(spec.check({"name": "x", "matrix": matrix}, "here")).trials
        assert trial.rule == "own 1.2"
        plugins.unload()
