"""`lcma data`: the commands about data sets."""

import typer

from lcma.harness.cli import data_list, data_show, data_verify
from lcma.harness.cli.prepare import prepare

app = typer.Typer(help="Prepare image data sets, show and check them.", no_args_is_help=True)

app.command("list")(data_list.list_sets)
app.command()(prepare)
app.command()(data_show.show)
app.command()(data_verify.verify)
