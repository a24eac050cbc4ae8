"""`lcma db check`: looking for damage in a database."""

import typer

from lcma.harness.cli.options import Db, Json


def check(db: Db = None, json: Json = False) -> None:
    """Look for damage and for states that cannot be. Nothing is changed.

    A line for each fault names table and row. Exit code 1 if there is one.
    """
    from dataclasses import asdict

    from lcma.db import locate
    from lcma.db.integrity import check_integrity
    from lcma.harness.place import find_place
    from lcma.harness.terminal import print_line, reporting_progress
    from lcma.harness.text import format_count, to_json

    database = locate(find_place(db, None, None).db)
    with reporting_progress() as progress:
        report = check_integrity(database, progress)
    if json:
        findings = [asdict(finding) for finding in report.findings]
        content = {"database": database.name, "read": report.read, "findings": findings}
        print(to_json(content))
    else:
        for finding in report.findings:
            print_line(finding)
        rows = ", ".join(f"{count} of {table}" for table, count in report.read.items())
        faults = format_count(len(report.findings), "fault") if report.findings else "no fault"
        print_line(f"{faults} found in {database.name}; rows read: {rows}")
    if report.findings:
        raise typer.Exit(1)
