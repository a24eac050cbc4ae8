"""The site: which pages there are, and what each shows.

Pages are made one by one, so that a server can make one on request. What draws maps and samples
imports torch, and is imported where it is needed.
"""

import json
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lcma.db import JobFacts, Store, Sweep
from lcma.db.relations import find_relations
from lcma.harness.extras import has_extra
from lcma.harness.files import file_name
from lcma.harness.place import Place
from lcma.harness.results.board import (
    COMPARABLE,
    ENOUGH,
    Board,
    BoardRow,
    Group,
    read_board,
    read_holdout,
)
from lcma.harness.results.curves import (
    MOST_LINES,
    CurveChart,
    read_charts,
    read_conventional,
)
from lcma.harness.results.lookup import read_data_facts, read_score
from lcma.harness.results.paper import ITEMS, PaperItem, compare_with_paper, scale_table
from lcma.harness.show import citation
from lcma.harness.show.meanings import explain_measure
from lcma.harness.show.site import comparisons, console, queries
from lcma.harness.show.site.boards import (
    LARGE,
    BoardPart,
    TrialKey,
    gather_notes,
    make_scale,
    paginate_groups,
    row_text,
    search_text,
    trial_key,
)
from lcma.harness.show.site.charts import (
    Chart,
    budget_chart,
    charts_script,
    curve_chart,
    overlay_charts,
    overlay_spec,
    panel_chart,
    require_site_extra,
    vega_bundle,
)
from lcma.harness.show.site.coverage import read_coverage
from lcma.harness.show.site.rendering import POLICY, read_asset, render_page
from lcma.harness.show.site.trials import (
    TrialFacts,
    TrialPage,
    list_trials,
    make_group_key,
    make_trial_key,
    read_trials,
)
from lcma.harness.text import format_size, printable
from lcma.sweeps import known_sets
from lcma.sweeps.errors import UserError
from lcma.sweeps.factorizations import is_word
from lcma.sweeps.measures import BITS_PER_DIM, OF_SAMPLES, MeasureKind, find_measure

if TYPE_CHECKING:
    from lcma.harness.results.budgets import BudgetCurve
    from lcma.harness.results.maps import MapReader
    from lcma.harness.results.running import Running
    from lcma.harness.results.verdicts import Verdict, Verdicts
    from lcma.harness.show.site import maps, sheets

TRIAL_PAGES = 2000
"""Most trials that have a page of their own."""

PUBLISHED = 10_000
"""Most trials that are published as a database: a thousand take a second, and 20,000 longer than
all pages together."""

CURVED = 5000
"""Most trials of which every rule has curves."""

READ_TOGETHER = 200
"""Trials whose pages are read at once."""

LISTED = 100
"""Trials, rows beside printed numbers, or budget curves on one page of their list."""

CARDS = 45
"""Series of maps on one page of their list."""

FAILURES = 14
"""Failures on one page of their list."""

MOST_FAILURES = 500
"""Most failures that are listed."""

KEPT_SECONDS = 60.0
"""Seconds for which a server uses what it has read of results."""

SWEEPS = 10
"""Sweeps on one page of the coverage, the newest first; fewer where they have very many cells."""

CURVE_POINTS = 100
"""Most points of each curve of a table."""

FEW = 3
"""Most budget curves that stand on one page, without a page for each."""

COLUMNS = ("budget", "value", "difference", "interval", "plot", "than", "paper", "n", "sd")
"""Columns of the leaderboard beside that of names; a reader chooses among them."""

Make = Callable[[str], bytes]
Row = TypeVar("Row")
Value = TypeVar("Value")


class _Shared:
    """Values read from results that did not change from one site to the next."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.read = time.monotonic()
        self._locks: dict[str, threading.RLock] = {}

    def lock(self, name: str) -> threading.RLock:
        return self._locks.setdefault(name, threading.RLock())


class _of_results(Generic[Value]):  # noqa: N801  (used as property is)
    """A property of a site that is the same until a job moves: read once, for whoever asks."""

    def __init__(self, read: "Callable[[Site], Value]") -> None:
        self._read, self.__doc__ = read, read.__doc__

    def __get__(self, site: "Site", _: object = None) -> Value:
        shared, name = site._shared, self._read.__name__
        with shared.lock(name):
            if name not in shared.values:
                shared.values[name] = self._read(site)
            found: Value = shared.values[name]
        return found


@dataclass(frozen=True)
class SiteOptions:
    """Selection of what a site shows, and how.

    ``sweep_id`` leaves only a sweep's trials, ``measure`` ranks the leaderboard, ``samples`` draws
    samples from kept weights, ``database`` adds the published database, ``live`` makes pages that
    reload by themselves while jobs run.
    """

    sweep_id: str | None = None
    samples: bool = True
    database: bool = True
    live: bool = False
    measure: str = BITS_PER_DIM


class Site:
    """The pages of a database as it was when they were made; each is read once.

    Raises UserError where the extra `site` is not installed.
    """

    def __init__(
        self,
        store: Store,
        place: Place,
        options: SiteOptions | None = None,
        step: Callable[[str], None] = lambda _: None,
    ) -> None:
        require_site_extra()
        self._store, self._place = store, place
        self._options = options or SiteOptions()
        self._step = step
        self._local = threading.local()
        self._read_trials: dict[str, TrialPage] = {}
        self._charted = False
        # Before anything else is read, so that what is read is at least as new.
        self._last_change = store.last_change() if self._options.live else None
        self._latest_event = store.changed_jobs().last if self._options.live else 0
        self._shared = _Shared()

    def is_same(self, former: "Site") -> bool:
        """Return whether nothing at all has been written since a former one."""
        return self._last_change == former._last_change

    def reuse(self, former: "Site") -> None:
        """Share what a former one reads of results, where no job has moved since.

        What is read is used for a minute at most, since not all that is shown comes of a job.
        """
        recent = time.monotonic() - former._shared.read < KEPT_SECONDS
        if recent and self._latest_event == former._latest_event:
            self._shared = former._shared

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file of the site: pages, then what stands beside them."""
        for number, path in enumerate(self.pages, start=1):
            self._step(f"writing page {number} of {len(self.pages)}")
            yield path, self.page(path)
            yield from self._beside.items()
            self._beside.clear()
        self._step("writing what stands beside the pages")
        yield _INDEX, self._index()
        for path in () if self._large else list_downloads():
            yield path, self._download(path)
        yield from self._database_files.items()
        for path, make in _ASSETS.items():
            if self._charted or path not in _OF_CHARTS:
                yield path, make()

    def file(self, path: str) -> bytes | None:
        """Return one file, None where there is none of that name."""
        if self._find_page(path) is not None:
            return self.page(path)
        if path in _ASSETS:
            return _ASSETS[path]()
        if path == _INDEX:
            return self._index()
        if path in list_downloads() and not self._large:
            return self._download(path)
        if path not in self._beside:
            owner = self._owner_of_script(path) or self._owner_of_picture(path)
            if owner is not None:
                self.page(owner)
        return self._beside.get(path)

    def make(self, path: str) -> dict[str, bytes]:
        """Return a file and those that came with it; nothing where there is none of that name."""
        content = self.file(path)
        found = {} if content is None else {**self._beside, path: content}
        self._beside.clear()
        return found

    @property
    def _beside(self) -> dict[str, bytes]:
        """Files that stand beside the pages that this thread has made."""
        found: dict[str, bytes] = self._local.__dict__.setdefault("beside", {})
        return found

    def page(self, path: str) -> bytes:
        """Return the page at a path of `pages`."""
        make = self._find_page(path)
        if make is None:
            raise KeyError(path)
        return make(path)

    @property
    def busy(self) -> bool:
        """True if any job runs."""
        counts = self._store.job_counts(self._options.sweep_id)
        return bool(counts.trial.running or counts.pretraining.running)

    @cached_property
    def pages(self) -> tuple[str, ...]:
        """Path of each page, in the order of the navigation."""
        lists = [
            _numbered(stem, number)
            for stem, (_, count) in self._lists.items()
            for number in range(count())
        ]
        return (*lists, *(path for _, paths in self._folders.values() for path in paths()))

    @property
    def _lists(self) -> Mapping[str, tuple[Make, Callable[[], int]]]:
        """Function that makes a page of the navigation, and how many it is on, by its stem."""

        def one() -> int:
            return 1

        return {
            "index": (self._board, lambda: len(self._board_pages)),
            "compare": (self._compare, lambda: _count(self._compared, LISTED)),
            "verdicts": (self._verdicts, one),
            "paper": (self._paper, lambda: _count(self._printed, LISTED)),
            "coverage": (self._coverage, lambda: _count(self._sweeps, SWEEPS)),
            "trials": (self._trial_list, lambda: _count(self._trials, LISTED)),
            "maps": (self._map_list, lambda: _count(self._series, CARDS)),
            "budgets": (self._budgets, lambda: _count(self._curve_pages, LISTED)),
            "samples": (self._samples, one),
            "failures": (self._failures, lambda: _count(self._failed.rows, FAILURES)),
            "sql": (self._sql, one),
            "about": (self._about, one),
        }

    @property
    def _folders(self) -> Mapping[str, tuple[Make, Callable[[], Collection[str]]]]:
        """Function that makes a page of a folder, and the pages in it."""
        return {
            "compare": (self._table, lambda: self._compared),
            "maps": (self._maps, lambda: [one.page for one in self._series]),
            "budgets": (self._curve, lambda: self._curve_pages),
            "trials": (self._trial, lambda: self._by_page),
            "paper": (self._paper_item, lambda: [] if self._large else _PAPER_PAGES),
        }

    def _find_page(self, path: str) -> Make | None:
        # Only what this one page needs is read.
        folder, slash, _ = path.partition("/")
        if slash:
            make, paths = self._folders.get(folder, (None, tuple))
            return make if path in paths() else None
        number = _number(path)
        for stem, (make, count) in self._lists.items():
            if path == _numbered(stem, number):
                return make if 0 <= number < count() else None
        return None

    @cached_property
    def _large(self) -> bool:
        """True if these are too many results for a page of each trial."""
        if self._options.sweep_id is not None:
            return False
        return sum(row.n for group in self._leaderboard.groups for row in group.rows) > LARGE

    @cached_property
    def _scope(self) -> str:
        if self._options.sweep_id is None:
            return "all results"
        known = {sweep.id: sweep.name for sweep in self._store.sweeps()}
        return printable(f"sweep {known[self._options.sweep_id]}")

    @cached_property
    def _trials(self) -> list[TrialFacts]:
        return self._read_listed(LARGE)

    def _read_listed(self, most: int) -> list[TrialFacts]:
        if self._large:
            return []
        found = queries.run_site_query(
            self._store, queries.trials_query(self._options.sweep_id), most
        )
        return list_trials(found.rows, TRIAL_PAGES)

    @cached_property
    def _by_page(self) -> dict[str, TrialFacts]:
        # Without the others, of which the first page has no use.
        return {one["page"]: one for one in self._read_listed(TRIAL_PAGES)}

    @_of_results
    def _page_of(self) -> dict[str, str]:
        return {one["job_id"]: page for page, one in self._by_page.items()}

    @_of_results
    def _leaderboard(self) -> Board:
        chosen = self._options
        return read_board(self._store, measure=chosen.measure, sweep_id=chosen.sweep_id)

    @_of_results
    def _holdout(self) -> dict[str, Group]:
        return read_holdout(self._store, sweep_id=self._options.sweep_id)

    @_of_results
    def _board_pages(self) -> list[list[BoardPart]]:
        return paginate_groups(self._leaderboard.groups, singly=not self._large)

    @_of_results
    def _trial_pages(self) -> dict[TrialKey, str]:
        return {make_trial_key(one): page for page, one in self._by_page.items()}

    @_of_results
    def _series(self) -> "list[maps.MapSeries]":
        if self._large:
            return []
        from lcma.harness.show.site.maps import list_series

        return list_series(self._store, self._options.sweep_id)

    @cached_property
    def _drawn(self) -> "sheets.SheetPage | None":
        done = [one["trial_id"] for one in self._trials if one["state"] == "done"]
        if not done or not self._options.samples or self._options.live:
            return None
        from lcma.harness.results.trials import choose_trials_of_cells
        from lcma.harness.show.site.sheets import draw_sheets

        chosen = choose_trials_of_cells(self._store, done)

        def drawing(what: str) -> None:
            self._step(f"drawing {what}")

        return draw_sheets(self._store, self._place, chosen, drawing)

    def _owner_of_script(self, path: str) -> str | None:
        if path.startswith("data/compare/"):
            name = path.removeprefix("data/compare/").removesuffix(".js")
            return next((one.page for one in self._compared.values() if one.name == name), None)
        name = path.removeprefix("data/").removesuffix(".js")
        within = [f"{f}/{name.removeprefix(f'{f}-')}.html" for f in self._folders]
        owners = [one for one in (*within, f"{name}.html") if _script(one) == path]
        return next((one for one in owners if self._find_page(one) is not None), None)

    def _owner_of_picture(self, path: str) -> str | None:
        name = path.removeprefix("images/")
        for one in self._series:
            if name.startswith(f"{one.stem}-"):
                return one.page
        return None

    def _render(
        self, template: str, path: str, drawn: tuple[Chart, ...] = (), **content: Any
    ) -> bytes:
        if drawn:
            self._beside[_script(path)] = charts_script(drawn)
            self._charted = True
        return render_page(
            template,
            path,
            scope=self._scope,
            live=self._options.live,
            busy=self._options.live and self.busy,
            empty=self._empty_tabs,
            charts={chart.id: chart for chart in drawn},
            script=_script(path) if drawn else None,
            queried=self._database.queried,
            **content,
        )

    @cached_property
    def _empty_tabs(self) -> frozenset[str]:
        """Pages that the navigation leaves out, since nothing stands on them."""
        empty = set()
        if self._drawn is None or not self._drawn.sides:
            empty.add("samples.html")
        if not self._options.live and not self._failed.rows:
            empty.add("failures.html")
        return frozenset(empty)

    def _board(self, path: str) -> bytes:
        from lcma.harness.show import board

        number = _number(path)
        running = self._read_running() if self._options.live and number == 0 else None
        panel = None if running is None else running.panel
        keys = [] if panel is None else [line.key for line in panel.lines]
        drawn = () if panel is None else (panel_chart(panel, keys, "running"),)
        return self._render(
            "board.html",
            path,
            drawn,
            running=running,
            lines=keys,
            page_of=self._page_of if running else {},
            board=self._leaderboard,
            parts=self._board_pages[number],
            trial_pages=self._trial_pages,
            trial_key=trial_key,
            search_text=search_text,
            row_text=row_text,
            enough=ENOUGH,
            large=self._large,
            notes=gather_notes(self._board_pages[number]),
            words=board,
            columns=COLUMNS,
            parquet=_PARQUET in list_downloads(),
            database=console.DATABASE if self._database.content else None,
            measure=explain_measure(self._measure),
            compared={_group_key(one.group): one for one in self._compared.values()},
            group_key=_group_key,
            **_pager(path, self._board_pages, 1),
            query=queries.board_query(self._options.sweep_id),
            answers=self._answers,
            tally=board.sum_up_low(self._leaderboard, self._holdout),
            extent=self._extent,
        )

    def _read_running(self) -> "Running | None":
        from lcma.harness.results.running import read_running

        found = read_running(self._store, self._options.sweep_id)
        return found if found.count else None

    @_of_results
    def _extent(self) -> Mapping[str, Any]:
        return self._rows(queries.extent_query(self._options.sweep_id)).rows[0]

    @_of_results
    def _answers(self) -> list[tuple[int, str, str, str]]:
        """Return how the paper's rule does in each table, with the table's place and page."""
        from lcma.harness.show.board import judge_low

        return [
            (place, _numbered("index", number), *judged)
            for number, page in enumerate(self._board_pages)
            for place, part in enumerate(page, start=1)
            if not part.start and (judged := judge_low(part.group, self._holdout))
        ]

    @cached_property
    def _measure(self) -> MeasureKind:
        name = self._options.measure
        return self._store.measure_kinds().get(name) or find_measure(name)

    def _index(self) -> bytes:
        """Return the script that the filters read.

        It has page, flow, data set, text and rows of every table's part, the rows by their number
        in a list of all, each as its label and its text.
        """
        rows = {self._name_row(row) for group in self._leaderboard.groups for row in group.rows}
        names = sorted(rows)
        numbers = {name: number for number, name in enumerate(names)}
        parts = [
            (
                _numbered("index", number),
                printable(part.group.flow),
                printable(f"{part.group.dataset} ({part.group.variant})"),
                search_text(part.group),
                sorted({numbers[self._name_row(row)] for row in part.rows}),
            )
            for number, page in enumerate(self._board_pages)
            for part in page
        ]
        found = json.dumps({"names": names, "parts": parts}, separators=(",", ":"))
        return f"window.lcmaBoard = {found};\n".encode()

    @staticmethod
    def _name_row(row: BoardRow) -> tuple[str, str]:
        return printable(row.label), row_text(row)

    def _download(self, path: str) -> bytes:
        from lcma.harness.show.board import board_as_json, board_table
        from lcma.harness.show.tables import table_as_csv, table_as_parquet

        if path.endswith(".json"):
            return board_as_json(self._leaderboard).encode()
        if path == _PARQUET:
            return table_as_parquet(board_table(self._leaderboard))
        return table_as_csv(board_table(self._leaderboard)).encode()

    def _verdicts(self, path: str) -> bytes:
        if self._large:
            return self._render("verdicts.html", path, large=True)
        from lcma.harness.results.claims import CLAIMS
        from lcma.harness.results.verdicts import DECISIONS
        from lcma.harness.show import verdicts

        return self._render(
            "verdicts.html",
            path,
            large=False,
            found=self._judged[self._options.measure],
            words=verdicts,
            links=self._link_verdict,
            claims=CLAIMS,
            decisions=DECISIONS,
            by_claim=lambda some: [
                list(of) for _, of in groupby(some, key=lambda one: one.claim.key)
            ],
        )

    @_of_results
    def _judged(self) -> "Mapping[str, Verdicts]":
        """Return verdicts by bits/dim, by what ranks the leaderboard and by what samples have."""
        from lcma.harness.results.verdicts import read_verdicts

        known, sweep_id = self._store.measure_kinds(), self._options.sweep_id
        measures = (self._options.measure, BITS_PER_DIM, *OF_SAMPLES)
        return {
            name: read_verdicts(self._store, self._holdout, measure=name, sweep_id=sweep_id)
            for name in dict.fromkeys(measures)
            if name in known
        }

    def _verdicts_on(self, item: PaperItem) -> "tuple[list[Verdict], list[Verdict]]":
        """Return the verdicts on an item's data sets, and those on others."""
        return item.split_by_data(
            one
            for measure, found in self._judged.items()
            for one in (*found.verdicts, *found.apart)
            if one.claim.key in item.claims_by(measure)
            and item.flow in (None, one.claim.cells.group.flow)
        )

    @_of_results
    def _printed(self) -> list[dict[str, Any]]:
        """Return the rows of bits/dim beside each number that papers print of the same."""
        of_bits = self._options.measure == BITS_PER_DIM
        board = (
            self._leaderboard
            if of_bits
            else read_board(self._store, sweep_id=self._options.sweep_id)
        )
        found = [
            {
                **{name: getattr(group, name) for name in (*COMPARABLE, "profile", "steps")},
                **{name: getattr(row, name) for name in ("factorization", "budget", "n", "mean")},
                "paper_profile": group.profile == "paper",
                "printed": number.bits_per_dim,
                "difference": row.mean - number.bits_per_dim,
                **{name: getattr(number, name) for name in ("source", "table", "note")},
            }
            for group in board.groups
            for row in group.rows
            for number in row.published
            if row.mean is not None and row.map_options is None
        ]
        names = ("flow", "dataset", "variant", "profile", "table", "steps", "factorization")
        return sorted(found, key=lambda one: (*(one[n] for n in names), one["budget"] or 0))

    def _link_verdict(self, one: "Verdict") -> list[tuple[str, str]]:
        """Return where the rows stand that a verdict is about, and what is there."""
        members = dict.fromkeys(_group_key(cells.group) for cells in one.claim.members)
        found = [self._tables[key] for key in members if key in self._tables]
        rows = one.comparison.rows
        one_pair = len(members) == len(found) == 1 and len(rows) == 2
        if one_pair and (pair := found[0].link_rows(*rows)):
            return [(pair, "Both rows side by side"), (found[0].board, "their table")]
        return [(table.board, table.title) for table in found]

    @cached_property
    def _tables(self) -> Mapping[tuple[Any, ...], comparisons.ComparedTable]:
        return {_group_key(table.group): table for table in self._compared.values()}

    def _paper(self, path: str) -> bytes:
        contents = {(one["dataset"], one["variant"], one["data_digest"]) for one in self._printed}
        named = Counter(one[:2] for one in contents)
        return self._render(
            "paper.html",
            path,
            items=[
                (item, page, *map(_count_decisions, self._verdicts_on(item)))
                for item, page in zip(ITEMS, () if self._large else _PAPER_PAGES, strict=False)
            ],
            rows=_take(self._printed, path, LISTED),
            facts=read_data_facts(self._store),
            several={name for name, count in named.items() if count > 1},
            **_pager(path, self._printed, LISTED),
        )

    def _paper_item(self, path: str) -> bytes:
        from lcma.harness.show import board, verdicts

        item = ITEMS[_PAPER_PAGES.index(path)]
        of_bits = self._options.measure == BITS_PER_DIM and item.table is not None
        tables = scale_table(self._leaderboard, item) if of_bits else []
        verdicts_on_data, verdicts_on_others = self._verdicts_on(item)
        return self._render(
            "paper-item.html",
            path,
            item=item,
            printed=compare_with_paper(Board(()), item.table) if item.table else None,
            tables=[one for one in tables if item.is_of_data(one.cells)],
            other_tables=[one for one in tables if not item.is_of_data(one.cells)],
            verdicts=verdicts_on_data,
            other_verdicts=verdicts_on_others,
            sheets=self._choose_sheets(item),
            kept=self._drawn is not None,
            words=verdicts,
            links=self._link_verdict,
            measures=self._explain_measures((*verdicts_on_data, *verdicts_on_others)),
            titles=board.format_titles,
        )

    def _explain_measures(self, found: "Sequence[Verdict]") -> list[str]:
        """Return what each measure is that verdicts are by, but bits/dim."""
        names = dict.fromkeys(one.claim.cells.group.measure for one in found)
        known = self._store.measure_kinds()
        return [explain_measure(known[n]) for n in names if n in known and n != BITS_PER_DIM]

    def _choose_sheets(self, item: PaperItem) -> "list[tuple[str, maps.Picture]]":
        """Return samples of `low`, or images between two, of each recipe that kept weights.

        Their files come with the page of samples.
        """
        if self._drawn is None or item.key not in ("figure2", "figure3"):
            return []
        facts = {one["job_id"]: one for one in self._trials}
        found = []
        for side in self._drawn.sides:
            for sheet in side.sheets:
                picture = sheet.samples if item.key == "figure2" else sheet.between
                name = facts[sheet.job_id]["factorization"]
                if item.flow not in (None, facts[sheet.job_id]["flow"]):
                    continue
                if picture is not None and is_word(name) and set(name) == {"L"}:
                    found.append((f"{side.title}, {sheet.name}", picture))
        return found

    def _coverage(self, path: str) -> bytes:
        sweeps = _take(self._sweeps, path, SWEEPS)
        covered = read_coverage(self._store, sweeps)
        named = Counter(sweep.name for sweep in self._sweeps)
        tables = {(recipe, digest): one for (digest, recipe), one in self._plain_tables.items()}
        return self._render(
            "coverage.html",
            path,
            covered=covered,
            others=sweeps[len(covered) :],
            shared={name for name, count in named.items() if count > 1},
            tables=tables,
            query=queries.coverage_query(covered[0].sweep.id) if covered else None,
            **_pager(path, self._sweeps, SWEEPS),
        )

    @cached_property
    def _sweeps(self) -> list[Sweep]:
        """The sweep, or all of them, the newest first."""
        chosen = self._options.sweep_id
        return [one for one in reversed(self._store.sweeps()) if chosen in (None, one.id)]

    def _trial_list(self, path: str) -> bytes:
        return self._render(
            "trials.html",
            path,
            trials=_take(self._trials, path, LISTED),
            all=len(self._trials),
            large=self._large,
            query=queries.trials_query(self._options.sweep_id),
            **_pager(path, self._trials, LISTED),
        )

    def _trial(self, path: str) -> bytes:
        one = self._read_trial(path)
        drawn = tuple(curve_chart(curve, k) for k, curve in enumerate(one.curves))
        sheet = None if self._drawn is None else self._drawn.find_sheet(one.listed["job_id"])
        group, seed = make_group_key(one.listed), one.listed["seed"]
        seeds = self._siblings[make_trial_key(one.listed)[:-1]]
        rules = self._siblings[group, seed]
        table = self._plain_tables.get(group)
        return self._render(
            "trial.html",
            path,
            drawn,
            trial=one,
            sheet=sheet,
            seeds=[t for t in seeds if t["page"] != path],
            rules=[t for t in rules if t["page"] != path],
            table=table,
            compared=None if table is None else table.link_trial(one.listed),
            map=self._map_pages.get(self._map_key(one.listed)),
        )

    def _read_trial(self, path: str) -> TrialPage:
        # Those that follow are read with it, since one alone takes as many queries as all of them.
        found = self._read_trials
        if path not in found:
            paths = list(self._by_page)
            at = paths.index(path)
            some = paths[at : at + (1 if self._options.live else READ_TOGETHER)]
            read = read_trials(self._store, [self._by_page[one] for one in some])
            found = self._read_trials = dict(zip(some, read, strict=True))
        return found[path]

    @cached_property
    def _siblings(self) -> Mapping[Any, list[TrialFacts]]:
        """Trials that have a page: the seeds of a cell, and those of one seed in a table."""
        found = defaultdict[Any, list[TrialFacts]](list)
        for one in self._by_page.values():
            found[make_trial_key(one)[:-1]].append(one)
            found[make_group_key(one), one["seed"]].append(one)
        return found

    @cached_property
    def _compared(self) -> Mapping[str, comparisons.ComparedTable]:
        """The tables of the leaderboard with what their rows are compared by, by page."""
        if self._large:
            return {}
        places = {
            _group_key(part.group): f"{_numbered('index', number)}#t{place}"
            for number, page in enumerate(self._board_pages)
            for place, part in enumerate(page, start=1)
            if not part.start
        }
        groups = [group for group in self._leaderboard.groups if _group_key(group) in places]
        boards = [places[_group_key(group)] for group in groups]
        return comparisons.name_tables(groups, boards, self._find_trials)

    def _find_trials(self, group: Group) -> list[comparisons.TrialPlace]:
        charted = {one.job_id for one in self._trainings[group.data_digest, group.recipe_id]}
        return [
            comparisons.TrialPlace(
                one, one["job_id"] in charted, self._map_stem(one), self._sample_file(one)
            )
            for one in self._paged[group.data_digest, group.recipe_id]
        ]

    @cached_property
    def _plain_tables(self) -> Mapping[tuple[str, str], comparisons.ComparedTable]:
        return {
            (one.group.data_digest, one.group.recipe_id): one
            for one in self._compared.values()
            if one.group.protocol == "plain"
        }

    @cached_property
    def _paged(self) -> Mapping[tuple[str, str], list[TrialFacts]]:
        """Trials that have a page, by the table that they are of."""
        found = defaultdict[tuple[str, str], list[TrialFacts]](list)
        for one in self._by_page.values():
            found[make_group_key(one)].append(one)
        return found

    @cached_property
    def _trainings(self) -> Mapping[tuple[str, str], list[JobFacts]]:
        """Trials with curves, by the table that they are of."""
        found = defaultdict[tuple[str, str], list[JobFacts]](list)
        ids = [one["job_id"] for one in self._trials]
        for one in self._store.job_facts(ids, with_curves=True):
            found[one.data_digest, one.recipe_id].append(one)
        return found

    def _sample_file(self, one: TrialFacts) -> str | None:
        sheet = None if self._drawn is None else self._drawn.find_sheet(one["job_id"])
        return None if sheet is None or sheet.samples is None else sheet.samples.file

    def _map_stem(self, one: TrialFacts) -> str | None:
        """Return what the files of a trial's maps begin with."""
        series = self._map_pages.get(self._map_key(one))
        if series is None or one["budget"] not in series.budgets:
            return None
        return f"images/{series.stem}-b{one['budget']}"

    @staticmethod
    def _map_key(one: TrialFacts) -> tuple[str | None, str, str | None]:
        reads = one["pretraining_id"] is not None
        score = read_score(one["factorization"], one["map_options"]) if reads else None
        return one["pretraining_id"], one["data_digest"], score

    def _read_chart(self, group: Group) -> CurveChart | None:
        trainings = self._trainings[group.data_digest, group.recipe_id]
        if not trainings:
            return None
        few = len(self._trials) <= CURVED
        try:
            charts = read_charts(
                self._store,
                trainings,
                read_conventional(self._store, trainings),
                most_lines=max(MOST_LINES, len(group.rows)) if few else MOST_LINES,
                most_points=CURVE_POINTS,
            ).charts
        except UserError:  # none has a point
            return None
        return charts[0] if charts else None

    def _compare(self, path: str) -> bytes:
        found = list(self._compared.values())
        self._beside["data/compare.js"] = comparisons.index_script(found, overlay_spec(None, ""))
        return self._render(
            "compare.html",
            path,
            tables=_take(found, path, LISTED),
            large=self._large,
            **_pager(path, found, LISTED),
        )

    def _table(self, path: str) -> bytes:
        table = self._compared[path]
        chart = self._read_chart(table.group)
        self._beside[table.script] = comparisons.table_script(table, chart)
        keys = [] if chart is None else comparisons.list_lines(chart)
        drawn = () if chart is None else overlay_charts(chart, keys)
        pairs = table.list_pairs()
        return self._render(
            "table.html",
            path,
            drawn,
            table=table,
            chart=chart,
            lines=keys,
            listed=comparisons.LISTED,
            pairs=pairs,
            scale=make_scale((pair.test, pair.by_seed) for pair in pairs),
            enough=ENOUGH,
        )

    @cached_property
    def _map_pages(self) -> "Mapping[tuple[str | None, str, str | None], maps.MapSeries]":
        """The maps of a pretraining on a data set by a score."""
        return {
            (one.key.pretraining_id, one.key.data_digest, one.key.score): series
            for series in self._series
            for one in series.sets
        }

    def _map_list(self, path: str) -> bytes:
        return self._render(
            "maps.html",
            path,
            series=_take(self._series, path, CARDS),
            large=self._large,
            **_pager(path, self._series, CARDS),
        )

    def _maps(self, path: str) -> bytes:
        from lcma.harness.show.site.maps import draw_series

        one = next(series for series in self._series if series.page == path)
        found = draw_series(self._reader, one)
        self._beside.update(found.files)
        keys = {
            (key.pretraining_id, key.data_digest, key.score) for key in (s.key for s in one.sets)
        }
        readers = [
            trial
            for trial in self._by_page.values()
            if self._map_key(trial) in keys and trial["budget"] in one.budgets
        ]
        return self._render("map.html", path, found=found, readers=readers)

    @cached_property
    def _reader(self) -> "MapReader":
        from lcma.harness.results.maps import MapReader, list_map_sets

        return MapReader(self._store, list_map_sets(self._store))

    @_of_results
    def _curves(self) -> "tuple[list[BudgetCurve], str]":
        """Return budget curves, and why there are none."""
        if self._large:
            return [], "Too many results for one page: choose a sweep, or `lcma budgets --flow`."
        from lcma.harness.results.budgets import read_budget_curves

        chosen = self._options
        try:
            return list(
                read_budget_curves(self._store, measure=chosen.measure, sweep_id=chosen.sweep_id)
            ), ""
        except UserError as error:
            return [], printable(error)

    @cached_property
    def _curve_pages(self) -> "Mapping[str, BudgetCurve]":
        """Budget curves by their pages, where they are too many for one."""
        curves = self._drawn_curves
        if len(curves) <= FEW:
            return {}
        named = [(one, file_name(one.key.flow, one.key.dataset, one.key.label)) for one in curves]
        return {f"budgets/{name}-{k}.html": one for k, (one, name) in enumerate(named, start=1)}

    @property
    def _drawn_curves(self) -> "list[BudgetCurve]":
        """Curves of several budgets: one alone has nothing to be compared with."""
        return [curve for curve in self._curves[0] if len(curve.rows) > 1]

    def _budgets(self, path: str) -> bytes:
        curves, problem = self._curves
        single = [] if _number(path) else [one for one in curves if len(one.rows) == 1]
        return self._render_curves(
            path,
            [] if self._curve_pages else self._drawn_curves,
            problem,
            single,
            listed=_take(list(self._curve_pages.items()), path, LISTED),
            **_pager(path, self._curve_pages, LISTED),
        )

    def _curve(self, path: str) -> bytes:
        return self._render_curves(path, [self._curve_pages[path]], listed=[])

    def _render_curves(
        self,
        path: str,
        curves: "Sequence[BudgetCurve]",
        problem: str = "",
        single: "Sequence[BudgetCurve]" = (),
        **content: Any,
    ) -> bytes:
        from lcma.harness.show import budgets

        pairs = [budget_chart(curve, k) for k, curve in enumerate(curves)]
        return self._render(
            "budgets.html",
            path,
            tuple(chart for pair in pairs for chart in pair),
            curves=list(zip(curves, pairs, strict=True)),
            problem=problem,
            words=budgets,
            axis=next(map(budgets.name_axis, self._curves[0]), "bits/dim"),
            single=single,
            most=LISTED,
            commands=list(dict.fromkeys(filter(None, map(budgets.suggest_launch, single)))),
            **content,
        )

    def _samples(self, path: str) -> bytes:
        found = self._drawn
        if found is not None:
            self._beside.update(found.files)
        pages = self._page_of
        return self._render(
            "samples.html", path, found=found, asked=self._options.samples, pages=pages
        )

    @cached_property
    def _failed(self) -> queries.QueryRows:
        return self._rows(queries.failures_query(self._options.sweep_id), MOST_FAILURES)

    def _failures(self, path: str) -> bytes:
        return self._render(
            "failures.html",
            path,
            rows=_take(self._failed.rows, path, FAILURES),
            all=len(self._failed.rows),
            truncated=self._failed.truncated,
            query=queries.failures_query(self._options.sweep_id),
            pages=self._page_of,
            **_pager(path, self._failed.rows, FAILURES),
        )

    def _sql(self, path: str) -> bytes:
        found = self._database
        return self._render(
            "sql.html",
            path,
            policy=console.CONSOLE_POLICY if found.queried else POLICY,
            database=found,
            file=console.DATABASE,
            size=format_size(len(found.content)),
            limit=format_size(console.LIMIT),
            asked=self._options.database,
            most=PUBLISHED if self._unpublished else None,
            examples=queries.EXAMPLES,
            views=[one for one in find_relations() if one.kind == "view"],
        )

    @cached_property
    def _database(self) -> console.SiteDatabase:
        if self._options.live or self._unpublished or not self._options.database:
            return console.SiteDatabase()
        self._step("publishing the database")
        return console.publish_database(self._store, self._options.sweep_id)

    @property
    def _unpublished(self) -> bool:
        return self._large or len(self._trials) > PUBLISHED

    @property
    def _database_files(self) -> dict[str, bytes]:
        found = self._database
        files = {console.DATABASE: found.content} if found.content else {}
        if found.queried:
            files[console.DATABASE_SCRIPT] = console.database_script(found.content)
            files |= {path: make() for path, make in _OF_CONSOLE.items()}
        return files

    def _about(self, path: str) -> bytes:
        sweep_id = self._options.sweep_id
        tables = [
            queries.environments_query(),
            queries.protocols_query(),
            queries.data_sets_query(),
        ]
        others = [queries.board_query(sweep_id), queries.rules_query()]
        others += [queries.trials_query(sweep_id), queries.failures_query(sweep_id)]
        sweeps = self._store.sweeps()
        if sweeps:
            others.append(queries.coverage_query(sweep_id or sweeps[-1].id))
        return self._render(
            "about.html",
            path,
            environments=self._rows(tables[0]),
            protocols=self._rows(tables[1]),
            data_sets=self._rows(tables[2]),
            facts=read_data_facts(self._store),
            queries=[*others, *tables],
            licences=_find_licence,
            measures=list(self._store.measure_kinds().values()),
            citation=citation,
        )

    def _rows(self, query: queries.SiteQuery, most: int = queries.MOST) -> queries.QueryRows:
        return queries.run_site_query(self._store, query, most)


def _count_decisions(verdicts: "Sequence[Verdict]") -> Counter[str]:
    return Counter(one.decision for one in verdicts)


_PAPER_PAGES = tuple(f"paper/{item.key}.html" for item in ITEMS)

_INDEX = "data/board.js"

_PARQUET = "data/board.parquet"


def list_downloads() -> tuple[str, ...]:
    """Return the files with the leaderboard's numbers in full, for programs.

    Parquet is among them where the extra `parquet` is installed.
    """
    return ("data/board.csv", "data/board.json", *([_PARQUET] if has_extra("parquet") else []))


_ASSETS: Mapping[str, Callable[[], bytes]] = {
    "assets/icon.svg": lambda: read_asset("icon.svg"),
    "assets/site.css": lambda: read_asset("site.css"),
    "assets/site.js": lambda: read_asset("site.js"),
    "assets/charts.js": lambda: read_asset("charts.js"),
    "assets/compare.js": lambda: read_asset("compare.js"),
    "assets/vega.js": vega_bundle,
    ".nojekyll": lambda: b"",
}

_OF_CONSOLE: Mapping[str, Callable[[], bytes]] = {
    "assets/sql.js": lambda: read_asset("sql.js"),
    "assets/sqljs.js": console.sqljs_script,
    "assets/sqljs-licence.txt": lambda: read_asset("sqljs/LICENSE"),
}

_OF_CHARTS = ("assets/charts.js", "assets/vega.js")

_group_key = attrgetter(*COMPARABLE)


def _find_licence(row: Mapping[str, Any]) -> str:
    """Return on what terms the images of a data set are to be had, as far as it is known."""
    name = known_sets.set_name(row["name"], row["variant"])
    known = known_sets.known().get(name)
    return "not known" if known is None else known.licence


def _numbered(stem: str, number: int) -> str:
    return f"{stem}.html" if not number else f"{stem}-{number + 1}.html"


def _number(path: str) -> int:
    _, _, last = path.removesuffix(".html").rpartition("-")
    # Not any digits: a path may be anything, and more than some thousands are no int.
    return int(last) - 1 if re.fullmatch(r"[0-9]{1,9}", last) else 0


def _count(rows: Sized, most: int) -> int:
    return max(1, -(-len(rows) // most))


def _take(rows: Sequence[Row], path: str, most: int) -> Sequence[Row]:
    """Return the rows that stand on a page of a list."""
    number = _number(path)
    return rows[number * most : (number + 1) * most]


def _pager(path: str, rows: Sized, most: int) -> dict[str, Any]:
    """Return what the links between the pages of a list need."""
    return {"number": _number(path), "count": _count(rows, most), "numbered": _numbered}


def _script(path: str) -> str:
    return f"data/{path.removesuffix('.html').replace('/', '-')}.js"
