"""The site: which pages there are, and what each shows.

Pages are made one by one, so that a server can make one on request. What draws maps and samples
imports torch, and is imported where it is needed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from lcma.db import Store
from lcma.db.relations import find_relations
from lcma.harness.place import Place
from lcma.harness.report.site import console, queries
from lcma.harness.report.site.boards import (
    LARGE,
    BoardPart,
    TrialKey,
    paginate_groups,
    trial_key,
)
from lcma.harness.report.site.charts import (
    Chart,
    budget_chart,
    charts_script,
    curve_chart,
    require_site_extra,
    vega_bundle,
)
from lcma.harness.report.site.coverage import read_coverage
from lcma.harness.report.site.rendering import POLICY, read_asset, render_page
from lcma.harness.report.site.trials import (
    TrialFacts,
    list_trials,
    make_group_key,
    make_trial_key,
    read_trial,
)
from lcma.harness.results.board import ENOUGH, Board, read_board
from lcma.harness.results.lookup import read_data_facts
from lcma.harness.text import format_size, printable
from lcma.sweeps.errors import UserError
from lcma.sweeps.measures import BITS_PER_DIM

if TYPE_CHECKING:
    from lcma.harness.report.site import maps, sheets
    from lcma.harness.results.maps import MapReader

TRIAL_PAGES = 2000
"""Most trials that have a page of their own."""

PUBLISHED = 5000
"""Most trials that are published as a database: more take longer than all pages together, and would
be too large for a page to query."""

LISTED = 500
"""Most trials, or failures, on one page of the list."""

Make = Callable[[str], bytes]


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
        self._beside: dict[str, bytes] = {}
        self._charted = False

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield every file of the site: pages, then what stands beside them."""
        for path in self.pages:
            yield path, self.page(path)
            yield from self._beside.items()
            self._beside.clear()
        yield _INDEX, self._index()
        for path in () if self._large else DOWNLOADS:
            yield path, self._download(path)
        yield from self._database_files.items()
        for path, make in _ASSETS.items():
            if self._charted or path not in _OF_CHARTS:
                yield path, make()

    def file(self, path: str) -> bytes | None:
        """Return one file, None where there is none of that name."""
        if path in self.pages:
            return self.page(path)
        if path in _ASSETS:
            return _ASSETS[path]()
        if path == _INDEX:
            return self._index()
        if path in DOWNLOADS and not self._large:
            return self._download(path)
        if path not in self._beside:
            owner = self._owners.get(path) or self._owner_of_picture(path)
            if owner is not None:
                self.page(owner)
        return self._beside.get(path)

    def page(self, path: str) -> bytes:
        """Return the page at a path of `pages`."""
        return self.pages[path](path)

    @property
    def busy(self) -> bool:
        """True if any job runs."""
        counts = self._store.job_counts(self._options.sweep_id)
        return bool(counts.trial.running or counts.pretraining.running)

    @cached_property
    def pages(self) -> Mapping[str, Make]:
        """Function that makes each page, by path, in the order of the navigation."""
        found: dict[str, Make] = {}
        for number in range(len(self._board_pages)):
            found[_numbered("index", number)] = self._board
        found["verdicts.html"] = self._verdicts
        found["paper.html"] = self._paper
        found["coverage.html"] = self._coverage
        for number in range(max(1, -(-len(self._trials) // LISTED))):
            found[_numbered("trials", number)] = self._trial_list
        found["maps.html"] = self._map_list
        found["budgets.html"] = self._budgets
        found["samples.html"] = self._samples
        found["failures.html"] = self._failures
        found["sql.html"] = self._sql
        found["about.html"] = self._about
        found |= dict.fromkeys((one.page for one in self._series), self._maps)
        found |= dict.fromkeys(self._by_page, self._trial)
        return found

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
        if self._large:
            return []
        found = queries.run_query(self._store, queries.trials_query(self._options.sweep_id), LARGE)
        return list_trials(found.rows, TRIAL_PAGES)

    @cached_property
    def _by_page(self) -> dict[str, TrialFacts]:
        return {one["page"]: one for one in self._trials if one["page"] is not None}

    @cached_property
    def _leaderboard(self) -> Board:
        chosen = self._options
        return read_board(self._store, measure=chosen.measure, sweep_id=chosen.sweep_id)

    @cached_property
    def _board_pages(self) -> list[list[BoardPart]]:
        return paginate_groups(self._leaderboard.groups, singly=not self._large)

    @cached_property
    def _trial_pages(self) -> dict[TrialKey, str]:
        return {make_trial_key(one): page for page, one in self._by_page.items()}

    @cached_property
    def _series(self) -> "list[maps.MapSeries]":
        if self._large:
            return []
        from lcma.harness.report.site.maps import list_series

        return list_series(self._store, self._options.sweep_id)

    @cached_property
    def _owners(self) -> dict[str, str]:
        return {_script(path): path for path in self.pages}

    @cached_property
    def _drawn(self) -> "sheets.SheetPage | None":
        done = [one["trial_id"] for one in self._trials if one["state"] == "done"]
        if not done or not self._options.samples or self._options.live:
            return None
        from lcma.harness.report.site.sheets import draw_sheets
        from lcma.harness.results.trials import choose_trials_of_cells

        chosen = choose_trials_of_cells(self._store, done)
        drawing = lambda what: self._step(f"drawing {what}")  # noqa: E731
        return draw_sheets(self._store, self._place, chosen, drawing)

    def _owner_of_picture(self, path: str) -> str | None:
        name = path.removeprefix("images/")
        for one in self._series:
            stem = one.page.removeprefix("maps/").removesuffix(".html")
            if name.startswith(f"{stem}-"):
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
            version=version("lcma").split("+")[0],
            live=self._options.live,
            busy=self._options.live and self.busy,
            charts={chart.id: chart for chart in drawn},
            script=_script(path) if drawn else None,
            queried=self._database.queried,
            **content,
        )

    def _board(self, path: str) -> bytes:
        from lcma.harness.report import board

        number = _number(path)
        return self._render(
            "board.html",
            path,
            board=self._leaderboard,
            parts=self._board_pages[number],
            trial_pages=self._trial_pages,
            trial_key=trial_key,
            enough=ENOUGH,
            large=self._large,
            words=board,
            number=number,
            count=len(self._board_pages),
            numbered=_numbered,
            query=queries.board_query(self._options.sweep_id),
            answers=self._answers,
            extent=self._rows(queries.extent_query(self._options.sweep_id)).rows[0],
        )

    @cached_property
    def _answers(self) -> list[tuple[int, str, str]]:
        """Sentences on the paper's rule, each with the page and the place of its table."""
        from lcma.harness.report.board import judge_low

        return [
            (place, _numbered("index", number), sentence)
            for number, page in enumerate(self._board_pages)
            for place, part in enumerate(page, start=1)
            if not part.start and (sentence := judge_low(part.group)) is not None
        ]

    def _index(self) -> bytes:
        """Return the script that the filters read.

        It has page, flow, data set and factorizations of every table's part, the factorizations by
        their number in a list of all.
        """
        labels = {row.label for group in self._leaderboard.groups for row in group.rows}
        names = sorted(map(printable, labels))
        numbers = {name: number for number, name in enumerate(names)}
        parts = [
            (
                _numbered("index", number),
                printable(part.group.flow),
                printable(f"{part.group.dataset} ({part.group.variant})"),
                sorted({numbers[printable(row.label)] for row in part.rows}),
            )
            for number, page in enumerate(self._board_pages)
            for part in page
        ]
        found = json.dumps({"names": names, "parts": parts}, separators=(",", ":"))
        return f"window.lcmaBoard = {found};\n".encode()

    def _download(self, path: str) -> bytes:
        from lcma.harness.report.board import board_as_json, board_table
        from lcma.harness.report.tables import table_as_csv

        if path.endswith(".json"):
            return board_as_json(self._leaderboard).encode()
        return table_as_csv(board_table(self._leaderboard)).encode()

    def _verdicts(self, path: str) -> bytes:
        if self._large:
            return self._render("verdicts.html", path, large=True)
        from lcma.harness.report import verdicts
        from lcma.harness.results.verdicts import CLAIMS, read_verdicts

        found = read_verdicts(
            self._store, measure=self._options.measure, sweep_id=self._options.sweep_id
        )
        return self._render(
            "verdicts.html", path, large=False, found=found, words=verdicts, claims=CLAIMS
        )

    def _paper(self, path: str) -> bytes:
        query = queries.paper_query(self._options.sweep_id)
        facts = read_data_facts(self._store)
        return self._render("paper.html", path, found=self._rows(query), facts=facts, query=query)

    def _coverage(self, path: str) -> bytes:
        covered, sweeps = read_coverage(self._store, self._options.sweep_id)
        query = queries.coverage_query(covered[0].sweep.id) if covered else None
        return self._render("coverage.html", path, covered=covered, sweeps=sweeps, query=query)

    def _trial_list(self, path: str) -> bytes:
        number = _number(path)
        return self._render(
            "trials.html",
            path,
            trials=self._trials[number * LISTED : (number + 1) * LISTED],
            all=len(self._trials),
            large=self._large,
            number=number,
            count=max(1, -(-len(self._trials) // LISTED)),
            numbered=_numbered,
            query=queries.trials_query(self._options.sweep_id),
        )

    def _trial(self, path: str) -> bytes:
        one = read_trial(self._store, self._by_page[path])
        drawn = tuple(curve_chart(curve, k) for k, curve in enumerate(one.curves))
        sheet = None if self._drawn is None else self._drawn.find_sheet(one.listed["job_id"])
        own, group = make_trial_key(one.listed), make_group_key(one.listed)
        beside = self._by_group[group]
        return self._render(
            "trial.html",
            path,
            drawn,
            trial=one,
            sheet=sheet,
            seeds=[t for t in beside if make_trial_key(t)[:-1] == own[:-1] and t["page"] != path],
            rules=[t for t in beside if t["seed"] == own[-1] and t["page"] != path],
            table=self._tables.get(group),
            map=self._map_pages.get((one.pretraining_id, one.listed["data_digest"])),
        )

    @cached_property
    def _by_group(self) -> Mapping[tuple[str, str], list[TrialFacts]]:
        found: dict[tuple[str, str], list[TrialFacts]] = {}
        for one in self._by_page.values():
            found.setdefault(make_group_key(one), []).append(one)
        return found

    @cached_property
    def _tables(self) -> Mapping[tuple[str, str], str]:
        """Where the leaderboard has the table of a recipe on a data set."""
        return {
            (part.group.data_digest, part.group.recipe_id): f"{_numbered('index', number)}#t{place}"
            for number, page in enumerate(self._board_pages)
            for place, part in enumerate(page, start=1)
            if not part.start and part.group.protocol == "plain"
        }

    @cached_property
    def _map_pages(self) -> Mapping[tuple[str | None, str], str]:
        """The page of a pretraining's maps on a data set; of the first score of several."""
        return {
            (one.key.pretraining_id, one.key.data_digest): series.page
            for series in reversed(self._series)
            for one in series.sets
        }

    def _map_list(self, path: str) -> bytes:
        return self._render("maps.html", path, series=self._series, large=self._large)

    def _maps(self, path: str) -> bytes:
        from lcma.harness.report.site.maps import draw_series

        one = next(series for series in self._series if series.page == path)
        found = draw_series(self._reader, one)
        self._beside |= found.files
        return self._render("map.html", path, found=found)

    @cached_property
    def _reader(self) -> "MapReader":
        from lcma.harness.results.maps import MapReader, list_map_sets

        return MapReader(self._store, list_map_sets(self._store))

    def _budgets(self, path: str) -> bytes:
        if self._large:
            problem = "Too many results for one page: choose a sweep, or `lcma pareto --flow`."
            return self._render("budgets.html", path, curves=[], problem=problem)
        from lcma.harness.report import budgets
        from lcma.harness.results.budgets import read_budget_curves

        curves, problem = [], ""
        try:
            curves = read_budget_curves(
                self._store, measure=self._options.measure, sweep_id=self._options.sweep_id
            )
        except UserError as error:
            problem = printable(error)
        pairs = [budget_chart(curve, k) for k, curve in enumerate(curves)]
        return self._render(
            "budgets.html",
            path,
            tuple(chart for pair in pairs for chart in pair),
            curves=list(zip(curves, pairs, strict=True)),
            problem=problem,
            words=budgets,
        )

    def _samples(self, path: str) -> bytes:
        found = self._drawn
        if found is not None:
            self._beside |= found.files
        pages = {one["job_id"]: one["page"] for one in self._trials}
        return self._render(
            "samples.html", path, found=found, asked=self._options.samples, pages=pages
        )

    def _failures(self, path: str) -> bytes:
        query = queries.failures_query(self._options.sweep_id)
        pages = {one["job_id"]: one["page"] for one in self._trials}
        found = self._rows(query, LISTED)
        return self._render("failures.html", path, found=found, query=query, pages=pages)

    def _sql(self, path: str) -> bytes:
        found = self._database
        return self._render(
            "sql.html",
            path,
            policy=console.CONSOLE_POLICY if found.queried else POLICY,
            database=found,
            file=console.DATABASE,
            size=format_size(len(found.content)),
            asked=self._options.database,
            large=self._unpublished,
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
        others = [
            queries.board_query(sweep_id),
            queries.cells_query(sweep_id),
            queries.paper_query(sweep_id),
        ]
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
        )

    def _rows(self, query: queries.SiteQuery, most: int = queries.MOST) -> queries.QueryRows:
        return queries.run_query(self._store, query, most)


_INDEX = "data/board.js"

DOWNLOADS = ("data/board.csv", "data/board.json")
"""The leaderboard's numbers in full, for programs."""

_ASSETS: Mapping[str, Callable[[], bytes]] = {
    "assets/icon.svg": lambda: read_asset("icon.svg"),
    "assets/site.css": lambda: read_asset("site.css"),
    "assets/site.js": lambda: read_asset("site.js"),
    "assets/charts.js": lambda: read_asset("charts.js"),
    "assets/vega.js": vega_bundle,
    ".nojekyll": lambda: b"",
}

_OF_CONSOLE: Mapping[str, Callable[[], bytes]] = {
    "assets/sql.js": lambda: read_asset("sql.js"),
    "assets/sqljs.js": console.sqljs_script,
    "assets/sqljs-licence.txt": lambda: read_asset("sqljs/LICENSE"),
}

_OF_CHARTS = ("assets/charts.js", "assets/vega.js")


def _numbered(stem: str, number: int) -> str:
    return f"{stem}.html" if not number else f"{stem}-{number + 1}.html"


def _number(path: str) -> int:
    _, _, last = path.removesuffix(".html").rpartition("-")
    return int(last) - 1 if last.isdigit() else 0


def _script(path: str) -> str:
    return f"data/{path.removesuffix('.html').replace('/', '-')}.js"
