"""`lcma db`: the commands about databases."""

import typer

from lcma.harness.cli import db_backup, db_check, db_init, db_merge, db_publish, db_upgrade

app = typer.Typer(
    help="Make, upgrade, check, copy, merge and publish results databases.", no_args_is_help=True
)

app.command()(db_init.init)
app.command()(db_upgrade.upgrade)
app.command()(db_check.check)
app.command()(db_backup.backup)
app.command()(db_merge.merge)
app.command()(db_publish.publish)
