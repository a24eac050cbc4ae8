"""The first page: how the paper's rule does, setting by setting, and why; and a card of it."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from lcma.harness.results.board import MIN_SEEDS, Group, name_unit
from lcma.harness.results.claims import find_low, find_printed
from lcma.harness.results.verdicts import Verdicts
from lcma.harness.show.board import (
    FEW_IMAGES,
    format_pair,
    has_few_images,
    judge_low,
    short_settings,
)
from lcma.harness.show.rules import FILLS, describe_rule, list_paths
from lcma.harness.show.site.database import SiteDatabase
from lcma.harness.text import format_count, printable, printable_lines
from lcma.sweeps.measures import BITS_PER_DIM

POLICY = (
    "default-src 'none'; script-src 'self' file: 'wasm-unsafe-eval'; style-src 'self' file:; "
    "img-src 'self' file: data:; worker-src blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)
"""Content-Security-Policy: nothing from the network, no inline script, no eval.

A page opened from a file has no origin that 'self' could be in some browsers, so `file:` is named
too. WebAssembly runs SQLite, in a worker; Vega runs by its interpreter, which needs no eval.
"""

VIEWS = {
    "board": ("Board", "every rule in every setting, with its interval"),
    "compare": ("Compare", "any two rules, seed by seed"),
    "rules": ("Rules", "what each rule sends away, and where it ranks"),
    "claims": ("Claims", "what the paper says, and what the results say of it"),
    "maps": ("Maps", "the contributions that low chooses by, after more and more training"),
    "budgets": ("Budgets", "how much pretraining is enough, and what it costs"),
    "trials": ("Trials", "each training, with its curve and how to repeat it"),
    "sql": ("SQL", "questions of your own to the database behind these pages"),
    "about": ("About", "how the numbers came about, licences, and how to cite"),
}
"""Views of the navigation beside the first, which the script draws, and what is there."""

EXAMPLES = ("checkerboard-even", "rows", "low")
"""Rules of which the first split is drawn."""

NAMES = {"realnvp": "RealNVP", "glow": "Glow", "iresnet": "i-ResNet", "resflow": "Residual Flow"}
"""Flows as their papers spell them."""

WORDS = ("better", "worse", "not told apart", "too few seeds")

REASONS = {
    "low-random-local": (
        "Is low better than a random half of each window?",
        {"yes": "low is more than chance", "no": "chance does better"},
    ),
    "low-random-lattice": (
        "Is low better than a random pair of positions that is the same in all windows?",
        {"yes": "low is more than regular", "no": "chance does better"},
    ),
    "low-better-phase": (
        "Is low better than both a checkerboard and its mirror image, which read no map?",
        {"yes": "the map pays", "no": "one of these fixed patterns does better"},
    ),
    "layout": (
        "Are low and high together worse than these two checkerboards together?",
        {"yes": "the shape of patterns by maps costs", "no": "their shape gains"},
    ),
    "ranking": (
        "Is low better than high, the opposite half by the same map?",
        {"yes": "to keep what contributes most helps", "no": "to keep it costs"},
    ),
}
"""Questions that take one part of the rule away, with what answers mean, by the keys of claims."""

SAID = {"supported": "yes", "opposite": "no"}
"""What a decision says of such a question; any other leaves it open."""

Setting = dict[str, Any]
"""`low` minus the flow's own rule in one table of the board, as `_find_setting` makes it."""


def render_index(database: SiteDatabase, *, live: bool) -> bytes:
    """Return `index.html`."""
    return _render(
        "index.html",
        policy=POLICY,
        views=VIEWS,
        facts=database.facts,
        answer=_find_answer(database),
        examples=[(name, _draw_first_split(name)) for name in EXAMPLES],
        live=live,
    ).encode()


def draw_card(database: SiteDatabase) -> bytes:
    """Return the picture that a link to the site is shown with: the answer, as PNG."""
    import vl_convert

    answer = _find_answer(database)
    lines = textwrap.wrap(answer["sentence"], 58)[:5]
    found: bytes = vl_convert.svg_to_png(
        _render("card.svg", answer=answer, lines=lines, fills=FILLS)
    )
    return found


def _draw_first_split(name: str) -> list[tuple[str, str]]:
    """Return the outlines of what leaves at the first split, and of what stays."""
    rows = describe_rule(name).channels[0]
    marks = ["".join("1" if mark == "1" else "0" for mark in row) for row in rows]
    return [(("stays", "leaves")[mark], outline) for mark, outline in list_paths(marks)]


def _render(template: str, **content: Any) -> str:
    return _load_templates().get_template(template).render(**content)


@cache
def _load_templates() -> jinja2.Environment:
    """Return the templates: everything is escaped, an unknown name is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("lcma.harness.show.site"),
        autoescape=True,
        finalize=lambda one: printable_lines(one) if type(one) is str else one,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _find_answer(database: SiteDatabase) -> dict[str, Any]:
    """Return the answer in a sentence, what goes with it, and what it is of.

    ``place`` says where a difference stands, from 0 to 100, on the scale of all settings.
    """
    groups = database.board.groups
    found = (_find_setting(k, group, database.holdout) for k, group in enumerate(groups, start=1))
    settings = [setting for setting in found if setting is not None]
    ends = [0.0]
    for one in settings:
        interval = one["found"]
        of = (interval.low, interval.high, interval.mean, one["printed"])
        ends += [end for end in of if end is not None]
    margin = 0.04 * (max(ends) - min(ends)) or 1.0
    low, width = min(ends) - margin, max(ends) - min(ends) + 2 * margin
    regularity = _say_regularity(groups, database.holdout)
    return {
        "sentence": _say(settings, database.facts["measure"], has_results=bool(groups)),
        "more": _say_more(settings),
        "settings": settings,
        "reasons": _list_reasons(database.verdicts, regularity),
        "unit": name_unit(groups[0].unit) if groups else "",
        "better": "right" if groups and groups[0].direction == "higher" else "left",
        "place": lambda value: round(100 * (value - low) / width, 2),
    }


def _find_setting(number: int, group: Group, holdout: dict[str, Group]) -> Setting | None:
    judged, row = judge_low(group, holdout), find_low(group, holdout)
    if judged is None or row is None or (found := row.difference) is None:
        return None
    flow = NAMES.get(group.flow, group.flow)
    settings = f", {printable(short_settings(group))}" if group.settings else ""
    printed = find_printed(group) if group.measure == BITS_PER_DIM else None
    word, sentence = judged
    return {
        "number": number,
        "name": f"{printable(flow)} on {printable(group.set_name)}{settings}",
        "steps": group.steps,
        "own": group.reference or "",
        "found": found,
        "word": word,
        "sentence": sentence,
        "difference": _sign(format_pair(found)),
        "printed": printed,
        "gain": None if printed is None else _sign(f"{printed:+.2f}"),
        "few": has_few_images(group),
    }


def _sign(text: str) -> str:
    return text.replace("-", "−")  # noqa: RUF001 - the sign as the other views have it


def _say(settings: Sequence[Setting], measure: str, *, has_results: bool) -> str:
    if not has_results:
        return "There are no results yet."
    if not settings:
        return "No result here compares low with a flow's own rule on the same seeds."
    counts = Counter(one["word"] for one in settings)
    if len(settings) == 1:
        return f"{_lead(counts)}. {settings[0]['sentence']}"
    by = "" if measure == BITS_PER_DIM else f" by {printable(measure)}"
    first, *rest = (f"{word} in {counts[word]}" for word in WORDS if counts[word])
    return (
        f"{_lead(counts)}: against each flow's own rule, choosing by contribution (low) is{by} "
        f"{first} of {len(settings)} settings{''.join(f', {part}' for part in rest)}."
    )


def _lead(counts: Mapping[str, int]) -> str:
    judged = sum(counts[word] for word in WORDS[:3])
    if not judged:
        return "Not known yet"
    if counts["better"] == judged:
        return "Yes"
    if not counts["better"]:
        return "No" if counts["worse"] else "Not seen"
    return "Mostly" if 2 * counts["better"] > judged else "Mostly not"


def _say_more(settings: Sequence[Setting]) -> list[str]:
    if not settings:
        return []
    lines = []
    better = [one for one in settings if one["word"] == "better"]
    if few := sum(one["few"] for one in better):
        where = f"{few} of the {len(better)} settings" if few < len(better) else _all(few)
        lines.append(f"{where} where low is better had fewer than {FEW_IMAGES:,} test images.")
    printed = [one for one in settings if one["printed"] is not None]
    # Where the whole interval is above the printed difference.
    lows = ((one["found"].low, one["printed"]) for one in printed)
    if short := sum(low is not None and low > gain for low, gain in lows):
        where = f"{short} of {len(printed)} settings" if short < len(printed) else _all(short)
        lines.append(
            f"In {where[0].lower()}{where[1:]} low falls short of the paper's gain for the flow "
            "and the data set."
        )
    steps = sorted({f"{end(one['steps'] for one in settings):,}" for end in (min, max)}, key=len)
    lines.append(f"The flows here were trained for {' to '.join(steps)} steps.")
    return lines


def _all(count: int) -> str:
    return {1: "The one setting", 2: "Both settings"}.get(count, f"All {count} settings")


def _list_reasons(verdicts: Verdicts, regularity: str) -> list[dict[str, Any]]:
    """Return each question with answers and what they mean, and how much is regularity."""
    found = []
    for key, (question, meanings) in REASONS.items():
        some = [one for one in verdicts.all if one.claim.key == key]
        answers = []
        for said in ("yes", "no", "open"):
            of = [one for one in some if SAID.get(one.decision, "open") == said]
            few = sum(has_few_images(one.cells.group) for one in of)
            on = f" ({few} with few test images)" if few else ""
            if of:
                text = f"{said} in {len(of)} of {len(some)}{on}"
                answers.append((text, meanings.get(said, "")))
        if answers:
            share = regularity if key == "low-random-lattice" else ""
            found.append({"key": key, "question": question, "answers": answers, "share": share})
    return found


def _say_regularity(groups: Sequence[Group], holdout: Mapping[str, Group]) -> str:
    """Return how much of what `low` gains on chance a regular choice by chance has."""
    shares = []
    few = False
    for group in groups:
        rows = {row.factorization: row.by_seed for row in group.rows if row.map_options is None}
        low = find_low(group, holdout)
        if low is None or not {"random-local", "random-lattice"} <= rows.keys():
            continue
        chance, regular = rows["random-local"], rows["random-lattice"]
        seeds = chance.keys() & regular.keys() & low.by_seed.keys()
        gain, share = (
            sum(chance[seed] - other[seed] for seed in seeds) for other in (low.by_seed, regular)
        )
        if len(seeds) < MIN_SEEDS or gain * share <= 0 or abs(share) > abs(gain):
            return ""  # no part of a whole
        shares.append(100 * share / gain)
        few = few or has_few_images(group)
    if not shares:
        return ""
    ends = sorted({f"{end(shares):.0f}" for end in (min, max)}, key=int)
    images = f", on fewer than {FEW_IMAGES:,} test images" if few else ""
    return (
        f"Such a pair has {' to '.join(ends)} % of what low gains on a random half of each window "
        f"({format_count(len(shares), 'setting')}{images}): that much is regularity."
    )
