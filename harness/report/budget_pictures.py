"""Budget curves as pictures: the curve, the Pareto front, and how the map changes."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from lcma.harness.files import file_name, write_file
from lcma.harness.report.budgets import (
    curve_title,
    describe_curve_key,
    every_row,
    recommendation,
)
from lcma.harness.report.figures import INK, add_text, figure_bytes, new_figure, tidy_axes
from lcma.harness.report.targets import PictureTarget
from lcma.harness.results.budgets import BudgetCurve, Row, Spread, Stability
from lcma.harness.text import printable

CURVE, BASE, CHOSEN, SEEDS = "#0072B2", "#D55E00", "#009E73", "#8A8A8A"
"""Of Okabe and Ito."""
SPLITS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#000000")
_SIZE = (1100, 820)
"""Pixels."""
_ROOM = 0.045
"""Of the width between two labels of an axis."""


def draw_budget_curves(curves: Sequence[BudgetCurve], target: PictureTarget) -> list[Path]:
    """A picture of each curve into the folder, or of the only one as the file.

    Raises UserError where it cannot be written, or for one file and several curves.
    """
    target.require_one(len(curves), "curves", "--flow, --dataset, --factorization or --profile")
    return [draw_budget_curve(curve, target) for curve in curves]


def draw_budget_curve(curve: BudgetCurve, target: PictureTarget) -> Path:
    """The three panels of one curve as a file."""
    figure = new_figure(*_SIZE)
    title, sentence = curve_title(curve.key), recommendation(curve)
    _say(figure, 0.06, 0.972, title, 12, "bold")
    _say(figure, 0.06, 0.945, describe_curve_key(curve.key), 9)
    for k, line in enumerate(textwrap.wrap(sentence, 125)):
        _say(figure, 0.06, 0.917 - 0.023 * k, line, 10)
    _draw_curve(figure.add_axes((0.07, 0.51, 0.9, 0.355)), curve)
    _draw_front(figure.add_axes((0.07, 0.075, 0.4, 0.3)), curve)
    _draw_map(figure.add_axes((0.555, 0.075, 0.415, 0.3)), curve)
    return write_file(target.path(_name(curve)), figure_bytes(figure, target.form, title, sentence))


def _draw_curve(axes: Any, curve: BudgetCurve) -> None:
    fit, base = curve.fit, curve.conventional
    budgets = [row.budget or 0 for row in curve.rows]
    _over_budgets(axes, budgets)
    if base is not None:
        _draw_base(axes, base)
    if fit.recommended is not None and fit.low is not None and fit.high is not None:
        said = f"recommended: {fit.recommended} ({fit.low} to {fit.high})"
        axes.axvspan(fit.low, fit.high, color=CHOSEN, alpha=0.14, lw=0)
        axes.axvline(fit.recommended, color=CHOSEN, lw=2, label=said)
    for seed in sorted({one.seed for row in curve.rows for one in row.results}):
        own = [
            (row.budget, one.holdout)
            for row in curve.rows
            for one in row.results
            if one.seed == seed
        ]
        x, y = zip(*own, strict=True)
        axes.plot(x, y, "o-", color=SEEDS, ms=4, lw=0.6, alpha=0.8)
    axes.plot([], [], "o-", color=SEEDS, ms=4, lw=0.6, label="a seed")
    means = [row.holdout for row in curve.rows]
    axes.plot(budgets, means, "D", color=CURVE, ms=7, mec="white", label="mean", zorder=4)
    if fit.band is not None:
        x = fit.band.budgets
        axes.fill_between(x, fit.band.low, fit.band.high, color=CURVE, alpha=0.22, lw=0)
        axes.plot(x, fit.band.middle, color=CURVE, lw=2, label="fit, 95 % of its mean")
    axes.set_ylabel("bits/dim on holdout")
    axes.set_xlabel("budget: steps of pretraining")
    _legend(axes, loc="best")


def _draw_base(axes: Any, base: Row) -> None:
    spread = base.deviation or 0.0
    axes.axhspan(base.holdout - spread, base.holdout + spread, color=BASE, alpha=0.13, lw=0)
    said = f"conventional ± sd, n = {base.n}"
    axes.axhline(base.holdout, color=BASE, lw=1.6, ls=(0, (5, 2)), label=said)


def _draw_front(axes: Any, curve: BudgetCurve) -> None:
    rows = [row for row in every_row(curve) if getattr(row, curve.cost) is not None]
    tidy_axes(axes)
    axes.set_ylabel("bits/dim on holdout")
    unit = "device seconds" if curve.cost == "seconds" else "images"
    axes.set_xlabel(f"{unit}, pretraining by itself and training")
    if not rows:
        _nothing(axes, "costs are not known")
        return
    axes.set_xscale("log")
    on = sorted((getattr(row, curve.cost), row.holdout) for row in rows if row.on_front)
    if on:
        x, y = zip(*on, strict=True)
        axes.step(x, y, where="post", color=CURVE, lw=1.2, label="Pareto front")
    for row in rows:
        colour = BASE if row.budget is None else CURVE
        at = getattr(row, curve.cost)
        axes.errorbar(at, row.holdout, yerr=row.deviation, color=colour, lw=1, alpha=0.5)
        marker = "s" if row.budget is None else "o"
        face = colour if row.on_front else "white"
        axes.plot(at, row.holdout, marker, color=colour, mfc=face, ms=7, zorder=4)
        if row.knee:
            axes.plot(at, row.holdout, "o", color=INK, mfc="none", ms=14, label="knee")
        name = "conventional" if row.budget is None else str(row.budget)
        axes.annotate(
            name, (at, row.holdout), (6, 5), textcoords="offset points", fontsize=8, color=INK
        )
    axes.margins(x=0.14)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if on:
        _legend(axes, loc="best")


def _draw_map(axes: Any, curve: BudgetCurve) -> None:
    stable = curve.stability
    if not stable:
        tidy_axes(axes)
        _nothing(axes, "no maps in the database")
        return
    _over_budgets(axes, sorted({one.budget for one in stable}))
    kinds = (("rank_correlation", "-", "o"), ("overlap", "--", "s"), ("mask_share", ":", "^"))
    for split in sorted({one.split for one in stable}):
        of = [one for one in stable if one.split == split]
        colour = SPLITS[(split - 1) % len(SPLITS)]
        for name, line, marker in kinds:
            known = [(one.budget, _spread(one, name)) for one in of]
            points = [(budget, s) for budget, s in known if s is not None]
            if points:
                x = [budget for budget, _ in points]
                axes.plot(x, [s.mean for _, s in points], line, marker=marker, color=colour, ms=4)
        axes.plot([], [], "-", color=colour, lw=4, label=f"split {split}")
    for name, line, marker in kinds:
        said = {"rank_correlation": "rank correlation", "overlap": "overlap of what stays"}
        label = said.get(name, "mask share")
        axes.plot([], [], line, marker=marker, color=INK, ms=4, label=label)
    lowest = min([0.0, *(s.mean for one in stable if (s := one.rank_correlation) is not None)])
    axes.set_ylim(min(0.0, lowest - 0.05), 1.03)
    axes.set_ylabel(f"map against that of {stable[0].longest} steps")
    axes.set_xlabel("budget: steps of pretraining")
    axes.legend(
        fontsize=7.5, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(-0.02, 0.98)
    )


def _spread(of: Stability, name: str) -> Spread | None:
    found = getattr(of, name)
    return found if isinstance(found, Spread) else None


def _over_budgets(axes: Any, budgets: Sequence[int]) -> None:
    """An axis that is linear from 0 to the first budget and logarithmic from there."""
    tidy_axes(axes)
    first = next((b for b in budgets if b > 0), 10)
    axes.set_xscale("symlog", linthresh=first, linscale=0.5)
    last = max(budgets[-1], first)
    axes.set_xlim(-0.08 * first if budgets[0] == 0 else budgets[0] * 0.9, last * 1.15)
    transform = axes.transData.transform
    left, right = axes.get_xlim()
    span = transform((right, 0))[0] - transform((left, 0))[0]
    shown: list[int] = []
    for budget in budgets:
        x = transform((budget, 0))[0]
        room = _ROOM * span if span > 600 else 2 * _ROOM * span
        if not shown or x - transform((shown[-1], 0))[0] > room:
            shown.append(budget)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))


def _nothing(axes: Any, said: str) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(0.5, 0.5, said, ha="center", va="center", transform=axes.transAxes, color=INK)


def _legend(axes: Any, **where: Any) -> None:
    axes.legend(fontsize=8.5, framealpha=0.85, edgecolor="none", **where)


def _say(figure: Any, x: float, y: float, text: str, size: float, weight: str = "normal") -> None:
    size = min(size, size * 150 / max(len(printable(text)), 1) * 11 / size)
    add_text(figure, x, y, text, size, weight=weight)


def _name(curve: BudgetCurve) -> str:
    key = curve.key
    return file_name(
        *("pareto", key.flow, key.dataset, key.variant, key.profile, key.factorization),
        *(key.protocol, key.recipe_id[:8], key.comparable[:8]),
        *(() if key.map_options is None else (key.map_options,)),
    )
