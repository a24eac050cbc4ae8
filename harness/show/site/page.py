"""The first page: the standing of the paper's rule in each setting, and why."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from lcma.harness.results.board import Group, Holdout, name_unit
from lcma.harness.results.claims import find_low, find_printed
from lcma.harness.results.verdicts import Verdicts
from lcma.harness.show.board import (
    FEW_IMAGES,
    STANDINGS,
    format_pair,
    has_few_images,
    judge_low,
    short_settings,
)
from lcma.harness.show.rules import describe_rule, list_paths
from lcma.harness.show.site.database import SiteDatabase
from lcma.harness.text import format_count, printable, printable_lines
from lcma.sweeps.measures import BITS_PER_DIM

POLICY = (
    "default-src 'none'; script-src 'self' file: 'wasm-unsafe-eval'; style-src 'self' file:; "
    "img-src 'self' file: data:; worker-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)
"""Content-Security-Policy: nothing from the network, no inline script, no eval.

In some browsers 'self' matches nothing on a page that is opened from a file, so `file:` is allowed
too. WebAssembly runs SQLite in a worker; Vega's interpreter needs no eval.
"""

VIEWS = {
    "board": ("Board", "every rule in every setting, with its interval"),
    "compare": ("Compare", "any two rules, seed by seed"),
    "rules": ("Rules", "what each rule does, and where it ranks"),
    "claims": ("Claims", "what the paper says, and what the results say about it"),
    "maps": ("Maps", "the contributions by which low chooses, after more and more training"),
    "budgets": ("Budgets", "how much pretraining is enough, and what it costs"),
    "trials": ("Trials", "each training, with its curve and how to reproduce it"),
    "sql": ("SQL", "your own questions to the database behind these pages"),
    "about": ("About", "how the numbers were made, licences, and how to cite"),
}
"""Views of the navigation that the script draws, with a title and a description."""

EXAMPLES = ("checkerboard-even", "rows", "low")
"""Rules whose first split is drawn."""

NAMES = {"realnvp": "RealNVP", "glow": "Glow", "iresnet": "i-ResNet", "resflow": "Residual Flow"}
"""Flows as their papers spell them."""

REASONS = {
    "low-random-local": (
        "Is low better than a random half of each window?",
        {"yes": "low is more than chance", "no": "chance does better"},
    ),
    "low-random-lattice": (
        "Is low better than a random pair of positions that is the same in all windows?",
        {"yes": "low is more than a regular pattern", "no": "chance does better"},
    ),
    "low-better-phase": (
        "Is low better than both a checkerboard and its mirror image, which read no map?",
        {"yes": "the map helps", "no": "one of these fixed patterns does better"},
    ),
    "layout": (
        "On average, are low and high worse than these two checkerboards?",
        {"yes": "the shape of patterns by maps costs", "no": "their shape helps"},
    ),
    "ranking": (
        "Is low better than high, the opposite half by the same map?",
        {"yes": "keeping what contributes most helps", "no": "keeping it costs"},
    ),
}
"""By claim: a question that isolates one part of the rule, and the meaning of its answers."""

ANSWERS = {"supported": "yes", "opposite": "no"}
"""The answer of a decision to such a question; all other decisions leave it open."""

Setting = dict[str, Any]
"""`low` minus the flow's own rule in one table of the board, as `_make_setting` returns it."""


def render_index(database: SiteDatabase, *, live: bool) -> bytes:
    """Return `index.html`."""
    return _render(
        "index.html",
        policy=POLICY,
        views=VIEWS,
        facts=database.facts,
        answer=_make_answer(database),
        examples=[(name, _draw_first_split(name)) for name in EXAMPLES],
        live=live,
    ).encode()


def _draw_first_split(name: str) -> list[tuple[str, str]]:
    """Return outlines of the positions that leave at the first split, and of those that stay."""
    rows = describe_rule(name).channels[0]
    marks = ["".join("1" if mark == "1" else "0" for mark in row) for row in rows]
    return [(("stays", "leaves")[mark], outline) for mark, outline in list_paths(marks)]


def _render(template: str, **content: Any) -> str:
    return _load_templates().get_template(template).render(**content)


@cache
def _load_templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("lcma.harness.show.site"),
        autoescape=True,
        finalize=lambda value: printable_lines(value) if type(value) is str else value,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _make_answer(database: SiteDatabase) -> dict[str, Any]:
    """Return the answer in a sentence, the settings behind it, and reasons.

    ``place`` returns the position of a difference, from 0 to 100, on the scale of all settings.
    """
    groups = database.board.groups
    results = (_make_setting(k, group, database.holdout) for k, group in enumerate(groups, start=1))
    settings = [setting for setting in results if setting is not None]
    ends = [0.0]
    for setting in settings:
        pair = setting["pair"]
        values = (pair.low, pair.high, pair.mean, setting["printed"])
        ends += [value for value in values if value is not None]
    margin = 0.04 * (max(ends) - min(ends)) or 1.0
    low, width = min(ends) - margin, max(ends) - min(ends) + 2 * margin
    return {
        "sentence": _summarize(settings, database.facts["measure"], has_results=bool(groups)),
        "more": _list_details(settings),
        "settings": settings,
        "reasons": _list_reasons(database.verdicts),
        "unit": name_unit(groups[0].unit) if groups else "",
        "better": "right" if groups and groups[0].direction == "higher" else "left",
        "place": lambda value: round(100 * (value - low) / width, 2),
    }


def _make_setting(number: int, group: Group, holdout: Holdout) -> Setting | None:
    word, row = judge_low(group, holdout), find_low(group, holdout)
    if word is None or row is None or (pair := row.difference) is None:
        return None
    flow = NAMES.get(group.flow, group.flow)
    settings = f", {printable(short_settings(group))}" if group.settings else ""
    printed = find_printed(group) if group.measure == BITS_PER_DIM else None
    return {
        "number": number,
        "name": f"{printable(flow)} on {printable(group.set_name)}{settings}",
        "steps": group.steps,
        "own": group.reference or "",
        "pair": pair,
        "word": word,
        "difference": _use_minus_sign(format_pair(pair)),
        "printed": printed,
        "gain": None if printed is None else _use_minus_sign(f"{printed:+.2f}"),
        "few": has_few_images(group),
    }


def _use_minus_sign(text: str) -> str:
    return text.replace("-", "−")  # noqa: RUF001 - the sign that the other views use


def _summarize(settings: Sequence[Setting], measure: str, *, has_results: bool) -> str:
    if not has_results:
        return "There are no results yet."
    if not settings:
        return "No result here compares low with a flow's own rule on two seeds or more."
    counts = Counter(setting["word"] for setting in settings)
    by = "" if measure == BITS_PER_DIM else f" by {printable(measure)}"
    parts = (f"{words} in {counts[word]}" for word, words in STANDINGS.items() if counts[word])
    first, *rest = parts
    parts_of_all = ", ".join([f"{first} of {format_count(len(settings), 'setting')}", *rest])
    return (
        f"{_answer_in_short(counts)}: against each flow's own rule, choosing by contribution (low) "
        f"is{by} {parts_of_all}."
    )


def _answer_in_short(counts: Mapping[str, int]) -> str:
    judged = counts["better"] + counts["worse"] + counts["neither"]
    if not judged:
        return "Not known yet"
    if counts["better"] == judged:
        return "Yes"
    if not counts["better"]:
        return "No" if counts["worse"] else "Not seen"
    if 2 * counts["better"] == judged:
        return "In half"
    return "Mostly" if 2 * counts["better"] > judged else "Mostly not"


def _list_details(settings: Sequence[Setting]) -> list[str]:
    if not settings:
        return []
    lines = []
    better = [setting for setting in settings if setting["word"] == "better"]
    if few := sum(setting["few"] for setting in better):
        of_better = f"{few} of {format_count(len(better), 'setting')}"
        lines.append(f"{of_better} where low is better had fewer than {FEW_IMAGES:,} test images.")
    printed = [setting for setting in settings if setting["printed"] is not None]
    # The whole interval is above the printed difference.
    lows = ((setting["pair"].low, setting["printed"]) for setting in printed)
    if short := sum(low is not None and low > gain for low, gain in lows):
        with_gain = format_count(len(printed), "setting")
        lines.append(f"In {short} of {with_gain} with a gain in the paper, low falls short of it.")
    ends = sorted({end(s["steps"] for s in settings) for end in (min, max)})
    steps = " to ".join(f"{end:,}" for end in ends)
    lines.append(f"The flows here were trained for {steps} steps.")
    return lines


def _list_reasons(verdicts: Verdicts) -> list[dict[str, Any]]:
    """Return each question with its answers and their meanings."""
    reasons = []
    for key, (question, meanings) in REASONS.items():
        on_claim = [verdict for verdict in verdicts.all if verdict.claim.key == key]
        answers = []
        for answer in ("yes", "no", "open"):
            members = [v for v in on_claim if ANSWERS.get(v.decision, "open") == answer]
            few = sum(has_few_images(verdict.cells.group) for verdict in members)
            note = f" ({few} with few test images)" if few else ""
            if members:
                text = f"{answer} in {len(members)} of {len(on_claim)}{note}"
                answers.append((text, meanings.get(answer, "")))
        if answers:
            reasons.append({"key": key, "question": question, "answers": answers})
    return reasons
