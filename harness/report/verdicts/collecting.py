"""All verdicts of a database, and what it has no results for."""

from dataclasses import dataclass
from typing import Any

from lcma.db import Store
from lcma.harness.report.board import read_board
from lcma.harness.report.ranking import Board
from lcma.harness.report.verdicts.across import claims_across
from lcma.harness.report.verdicts.claims import Claim
from lcma.harness.report.verdicts.masks import Shares, mask_claims
from lcma.harness.report.verdicts.rule import Verdict, decide_claims
from lcma.harness.report.verdicts.within import claims_within
from lcma.sweeps import factorizations

CLAIMS = {
    "low-conventional": ("low gives fewer bits/dim than conventional (Tables 1 and 2)", "table1"),
    "table3-order": ("the order of Table 3", "table3"),
    "table4-order": ("the order of the words in Table 4", "table4"),
    "budget": ("longer pretraining gives low fewer bits/dim", "demo --budget 100,1000"),
    "low-better-phase": ("low beats the better phase of the checkerboard", "demo"),
    "low-random-local": ("low beats chance with the same locality", "demo"),
    "mask-share": ("most of the map is the masks' own pattern", "demo"),
    "persistence": ("the gap persists as training goes on", "phases"),
    "first-split": ("the first split carries the gap", "words"),
    "variant": (
        "the data variant alone moves CelebA by less than the published gap",
        "table1 --dataset celeba64,celeba64-float",
    ),
}
"""Every claim by key, in short, and a launch that tests it."""


@dataclass(frozen=True)
class Verdicts:
    """``verdicts`` are of models that clear the bars, ``apart`` of those that do not, or where no
    bars are known. ``unmeasured`` are keys of claims without any results. ``diverged`` and
    ``failed`` count lost trials, ``lost`` the same by outcome."""

    verdicts: tuple[Verdict, ...]
    apart: tuple[Verdict, ...]
    unmeasured: tuple[str, ...]
    diverged: int = 0
    failed: int = 0
    lost: tuple[tuple[str, int], ...] = ()


def read_verdicts(store: Store, *, sweep_id: str | None = None, **where: Any) -> Verdicts:
    """The verdicts on the results in a database, of one sweep or of all.

    ``where`` names columns as in `board.read`.
    """
    board = read_board(store, sweep_id=sweep_id, **where)
    return make_verdicts(board, _shares(store))


def make_verdicts(board: Board, shares: Shares | None = None) -> Verdicts:
    """The verdicts on a board, and on the share of the masks in the maps behind it."""
    claims = [one for group in board.groups for one in claims_within(group)]
    claims += claims_across(board.groups)
    claims += mask_claims(board.groups, shares or {})
    order = list(CLAIMS)
    claims.sort(key=lambda one: (_place(one, order), str(one.scale)))
    found = decide_claims(claims)
    return Verdicts(
        verdicts=tuple(one for one in found if one.claim.cleared),
        apart=tuple(one for one in found if not one.claim.cleared),
        unmeasured=tuple(key for key in CLAIMS if key not in {one.key for one in claims}),
        diverged=board.diverged,
        failed=board.failed,
        lost=board.lost,
    )


def _place(claim: Claim, order: list[str]) -> int:
    """Tables as wholes come after their cells."""
    return order.index(claim.key) if claim.key in order else 0


def _shares(store: Store) -> Shares:
    tables = store.view("table_statistics", split=1)
    found: dict[tuple[str, str, int | None], dict[int, float]] = {}
    for row in tables.to_dict("records"):
        word, share = str(row["factorization"]), row["mask_share"]
        if not factorizations.is_word(word) or set(word) != {"L"} or share != share:
            continue
        if row["map_options"] is not None and row["map_options"] == row["map_options"]:
            continue
        key = (str(row["recipe_id"]), str(row["data_digest"]), int(row["budget"]))
        found.setdefault(key, {})[int(row["seed"])] = float(share)
    return found
