"""The rule by which every claim gets its verdict. docs/verdicts.md states it in words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lcma.harness.report import notes
from lcma.harness.report.pairing import (
    LEVEL,
    PairedTest,
    adjust_holm,
    paired_test,
    seeds_needed,
    t_interval,
)
from lcma.harness.report.verdicts.claims import ALONE, Claim, Comparison

ENOUGH = notes.ENOUGH
"""Seeds below which every claim is undecided."""

Decision = Literal["supported", "refuted", "undecided"]


@dataclass(frozen=True)
class Verdict:
    """A claim's verdict, with the comparison that decided it, or that is nearest to spoiling it.

    ``test`` is of that comparison, None where no seed has both sides; of a claim of several
    comparisons ``t_p`` is the largest p in its favour, and ``holm_p`` that after Holm's correction
    over the ``family_size`` claims of its family. ``seeds`` is about how many would decide it.
    """

    claim: Claim
    decision: Decision
    why: str
    comparison: Comparison
    test: PairedTest | None
    n: int
    t_p: float
    holm_p: float
    family_size: int
    seeds: int | None


def decide_claims(claims: Sequence[Claim]) -> tuple[Verdict, ...]:
    """The verdicts, in the order of the claims."""
    tests = [_tests(one) for one in claims]
    p_values = [max(map(_in_favour, found)) for found in tests]
    holm = list(p_values)
    sizes = [1] * len(claims)
    families: dict[tuple[object, ...], list[int]] = {}
    for index, one in enumerate(claims):
        if one.family != ALONE:
            families.setdefault((one.family, one.scale), []).append(index)
    for members in families.values():
        corrected = adjust_holm([p_values[index] for index in members])
        for index, p in zip(members, corrected, strict=True):
            holm[index], sizes[index] = p, len(members)
    return tuple(
        _verdict(one, found, p, p_holm, size)
        for one, found, p, p_holm, size in zip(claims, tests, p_values, holm, sizes, strict=True)
    )


def _verdict(
    claim: Claim, tests: Sequence[PairedTest | None], p: float, holm_p: float, size: int
) -> Verdict:
    n = min(0 if one is None else one.n for one in tests)
    refuting = [k for k, why in enumerate(_refutes(claim, tests)) if why]
    worst = max(range(len(tests)), key=lambda k: _upper(tests[k]))
    decision: Decision
    if n < ENOUGH:
        decision, why = "undecided", f"fewer than {ENOUGH} seeds decide nothing"
    elif refuting:
        worst = max(refuting, key=lambda k: _upper(tests[k]))
        decision, why = "refuted", _refutes(claim, tests)[worst]
    elif _upper(tests[worst]) >= 0:
        decision, why = "undecided", "the interval contains zero"
    elif max(_sign_flip(one) for one in tests) > 2 * LEVEL:  # 5 % in the claim's direction
        decision, why = "undecided", "the exact sign-flip test does not show it"
    elif holm_p > LEVEL:
        decision, why = "undecided", f"it does not outlast Holm's correction over {size} claims"
    else:
        decision, why = "supported", "the 95 % interval is wholly below zero"
    seeds = None if decision != "undecided" else _seeds(claim, tests[worst], n)
    comparison, test = claim.comparisons[worst], tests[worst]
    return Verdict(claim, decision, why, comparison, test, n, p, holm_p, size, seeds)


def _tests(claim: Claim) -> list[PairedTest | None]:
    return [paired_test(list(one.by_seed.values())) for one in claim.comparisons]


def _in_favour(test: PairedTest | None) -> float:
    """The two-sided p where the mean is on the claim's side, else 1."""
    return 1.0 if test is None or test.t_p is None or test.mean >= 0 else test.t_p


def _sign_flip(test: PairedTest | None) -> float:
    return 1.0 if test is None or test.sign_flip_p is None else test.sign_flip_p


def _upper(test: PairedTest | None) -> float:
    return float("inf") if test is None or test.high is None else test.high


def _refutes(claim: Claim, tests: Sequence[PairedTest | None]) -> list[str]:
    """For each comparison why it refutes the claim, or nothing.

    Of k comparisons any one can, so each is held against an interval of 1 - 5 % / k.
    """
    found = []
    level = LEVEL / len(tests)
    confidence = f"{100 * (1 - level):.3g} %"
    for comparison, test in zip(claim.comparisons, tests, strict=True):
        why = ""
        wide = t_interval(list(comparison.by_seed.values()), level)
        if test is not None and test.n >= ENOUGH and wide is not None:
            low, high = wide
            if claim.margin is not None and max(-low, high) <= claim.margin:
                why = (
                    f"the {confidence} interval is wholly within {claim.margin} {claim.unit} of "
                    "zero"
                )
            elif low > 0:
                why = f"the {confidence} interval is wholly above zero"
        found.append(why)
    return found


def _seeds(claim: Claim, test: PairedTest | None, n: int) -> int | None:
    """About how many seeds would decide: for the effect that was seen, or the smallest of note."""
    if n < ENOUGH or test is None or test.deviation is None:
        return ENOUGH
    effect = max(abs(test.mean), claim.margin or 0.0)
    needed = seeds_needed(effect, test.deviation) if effect else None
    return None if needed is None else max(needed, n + 1)
