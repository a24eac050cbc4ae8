"""How to cite the code and the paper, as BibTeX: the facts of CITATION.cff, which no wheel has."""

from importlib.metadata import metadata, version

TITLE = (
    "lcma: a benchmark of factorizations of multi-scale normalizing flows, with a results database"
)
AUTHORS = "The lcma developers"
LICENCE = "Apache-2.0"
RELEASED = "2026-11-27"
PAPER_TITLE = "Likelihood Contribution based Multi-scale Architecture for Generative Flows"
PAPER_AUTHORS = ("Das, Hari Prasanna", "Abbeel, Pieter", "Spanos, Costas J.")
PAPER_YEAR = 2019
PAPER_URL = "https://arxiv.org/abs/1908.01686"


def find_code() -> str | None:
    """Return the address of the code, the package's ``Repository`` URL; None without one."""
    named = dict(line.split(", ", 1) for line in metadata("lcma").get_all("Project-URL") or ())
    return named.get("Repository")


def as_bibtex() -> str:
    """Return an entry for the code and one for the paper."""
    code = find_code()
    eprint = PAPER_URL.rpartition("/")[2]
    return "\n".join(
        (
            "@software{lcma,",
            f"  title = {{{TITLE}}},",
            f"  author = {{{{{AUTHORS}}}}},",
            f"  year = {{{RELEASED[:4]}}},",
            f"  version = {{{version('lcma').split('+')[0]}}},",
            *([f"  url = {{{code}}},"] if code else []),
            f"  license = {{{LICENCE}}}",
            "}",
            "",
            "@misc{das2019likelihood,",
            f"  title = {{{PAPER_TITLE}}},",
            f"  author = {{{' and '.join(PAPER_AUTHORS)}}},",
            f"  year = {{{PAPER_YEAR}}},",
            f"  eprint = {{{eprint}}},",
            "  archivePrefix = {arXiv},",
            f"  url = {{{PAPER_URL}}}",
            "}",
        )
    )
