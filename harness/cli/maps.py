"""`lcma maps`: drawing contribution maps and the index tables made from them."""

from typing import TYPE_CHECKING, Annotated

import typer

from lcma.harness.cli.options import (
    Datasets,
    Db,
    Factorizations,
    Flows,
    Json,
    OutFolder,
    PictureInFolder,
    Runs,
    Seeds,
    Sweep,
    Where,
    choose_rows,
    tell_last_sweep,
)
from lcma.sweeps.errors import UserError

if TYPE_CHECKING:
    from lcma.harness.results.maps import MapSet

MOST = 24
"""Pretrainings of which all is drawn; of more those of the sweep launched last."""


def maps(
    db: Db = None,
    runs: Runs = None,
    out: OutFolder = None,
    format: PictureInFolder = None,
    sweep: Sweep = None,
    flow: Flows = None,
    dataset: Datasets = None,
    factorization: Factorizations = None,
    seed: Seeds = None,
    where: Where = None,
    budget: Annotated[int | None, typer.Option(help="Only this budget, in steps")] = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="Only maps by this score: cumulative (the default), normalized, total, or a rule "
            "of the data such as variance-low"
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Compare two sets of maps, by their ids"),
    ] = None,
    json: Json = False,
) -> None:
    """Draw contribution maps and the index tables made from them, and print their statistics.

    Of more than 24 pretrainings those of the sweep launched last are drawn.
    Pictures go to --out (lcma-pictures): maps-* for each pretraining with its
    budgets, tables-* for each budget, compare-* for --compare, history-* for
    each trial of online, whose tables change.
    """
    from rich.text import Text

    from lcma.db import connect
    from lcma.harness.place import find_place
    from lcma.harness.results.lookup import find_sweep
    from lcma.harness.results.maps import (
        USUAL,
        choose_read_sets,
        filter_map_sets,
        find_map_set,
        list_map_sets,
    )
    from lcma.harness.results.trials import list_online_trials
    from lcma.harness.show.gallery import (
        draw_comparison,
        draw_histories,
        draw_maps,
        list_pictures,
    )
    from lcma.harness.show.maps import (
        comparison_as_record,
        histories_as_records,
        maps_as_records,
        tabulate_comparison,
        tabulate_histories,
        tabulate_maps,
    )
    from lcma.harness.show.tables import Table, render_table
    from lcma.harness.show.targets import picture_folder
    from lcma.harness.terminal import Console, print_error
    from lcma.harness.text import to_json

    options = {
        **{"sweep": sweep, "flow": flow, "dataset": dataset, "factorization": factorization},
        **{"seed": seed, "where": where, "budget": budget, "score": score},
    }
    given = [name for name, value in options.items() if value not in (None, [])]
    if compare is not None and given:
        raise UserError(f"--compare names two sets of maps and does not go with --{given[0]}")
    target = picture_folder(out, format)
    place = find_place(db, runs, None)
    store = connect(place.db, create=False)
    known = list_map_sets(store)
    last = compare is None and not given and _count_pretrainings(known) > MOST
    if last:
        sweep = find_sweep(store, None).id
    sweep_id, filters = choose_rows(store, sweep, where, flow=flow, dataset=dataset, seed=seed)
    _, rules = choose_rows(store, None, None, factorization=factorization)
    shown: list[Table]
    content: object
    unread = ""
    with Console(stderr=True).status("drawing"):
        if compare is None:
            trials = []
            online = "online" in rules.get("factorization", ("online",))
            if online and budget is None and score is None:  # `online` has none of these
                trials = list_online_trials(store, sweep_id, **filters)
            histories, unread = draw_histories(store, place, trials, target)
            try:
                read = choose_read_sets(store, known, sweep_id, rules.get("factorization"))
                of_maps = {"score": (score or USUAL,), **filters}
                if budget is not None:
                    of_maps["budget"] = (budget,)
                chosen = filter_map_sets(read, of_maps)
                if last and _count_pretrainings(chosen) > MOST:
                    raise _many_error(chosen, db, runs)
            except UserError as error:
                if not histories:
                    more = "; nor has a trial of online" if list_online_trials(store) else ""
                    raise UserError(unread or f"{error}{more}") from None
                chosen = []
            sheets = draw_maps(store, chosen, target)
            shown = tabulate_maps(sheets) if sheets else []
            shown += [tabulate_histories(histories)] if histories else []
            content = maps_as_records(sheets) + histories_as_records(histories)
            pictures = [*list_pictures(sheets), *(one.picture for one in histories)]
        else:
            one, other = (find_map_set(known, name) for name in compare)
            sheet = draw_comparison(store, one, other, target)
            shown, content = [tabulate_comparison(sheet)], comparison_as_record(sheet)
            pictures = [sheet.picture]
    if unread:
        print_error(unread)
    if last:
        tell_last_sweep(store)
    if json:
        print(to_json(content))
        return
    console = Console()
    for table in shown:
        console.print(render_table(table, compact=True), Text(), highlight=False)
    for path in pictures:
        console.print(Text(str(path)), soft_wrap=True)


def _count_pretrainings(sets: "list[MapSet]") -> int:
    return len({one.pretraining_id for one in sets})


def _many_error(sets: "list[MapSet]", db: str | None, runs: str | None) -> UserError:
    from collections import Counter

    from lcma.harness.watch.commands import format_command

    keys = Counter((one.flow, one.dataset) for one in sets)
    (flow, dataset), _ = keys.most_common(1)[0]
    seed = min(one.seed for one in sets if (one.flow, one.dataset) == (flow, dataset))
    words = ["maps", "--flow", flow, "--dataset", dataset, "--seed", f"{seed}"]
    return UserError(
        f"the sweep launched last has maps of {_count_pretrainings(sets)} pretrainings: choose by "
        f"--flow, --dataset, --budget, --seed or --sweep, such as "
        f"`{format_command(*words, db=db, runs=runs)}`"
    )
