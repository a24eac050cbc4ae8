"""The log of an attempt is kept with it, however it ends."""

import logging
import re
import warnings

import pytest

from lcma.harness.work import log
from lcma.harness.work.log import MAX_LENGTH, Log, logger
from lcma.harness.work.worker import run_work
from tests.harness.launch.conftest import complete, select


def test_an_attempt_tells_where_it_went_on_and_how_it_ended(registered) -> None:
    store, works = registered()
    for work in works[:2]:
        run_work(work)
    first, second = store.view("attempts").log
    assert works[0].title not in second
    lines = first.splitlines()
    assert [line.split(" INFO lcma: ")[1] for line in (lines[0], lines[1], lines[-1])] == [
        f"attempt 1 at {works[0].title}",
        "trains from step 0 to 10 on cpu",
        "done",
    ]
    assert lines[0][10] == "T"
    assert lines[0].split()[0].endswith("Z")


def test_maps_and_evaluations_tell_how_many_images_are_done(registered, monkeypatch) -> None:
    monkeypatch.setattr(log, "SHARE_SECONDS", 0.0)
    store, works = registered()
    complete(*works)
    logs = store.view("attempts").set_index("job_id").log
    for kind, activity in (("pretraining", "making its map"), ("trial", "evaluating")):
        log_text = logs[select(works, kind)[0].job_id]
        line = rf"INFO lcma: {activity}, (\d+) of (\d+) images$"
        counts = re.findall(line, log_text, re.MULTILINE)
        assert len(counts) > 1
        assert counts[-1][0] == counts[-1][1], "all are counted"


def test_the_log_has_warnings_of_libraries_and_the_traceback_of_a_crash(
    registered, at_step
) -> None:
    store, works = registered()

    def warn() -> None:
        warnings.warn("the loss looks odd", stacklevel=1)
        logging.getLogger("somebody").warning("a library's warning")
        logging.getLogger("somebody").info("a library's chatter")

    def crash() -> None:
        raise RuntimeError("it broke here")

    at_step({3: warn, 7: crash})
    assert run_work(works[0]).ending == "failed"
    (text,) = store.view("attempts").log
    assert "the loss looks odd" in text
    assert text.count("a library's warning") == 1
    assert "chatter" not in text
    assert text.endswith("RuntimeError: it broke here")
    assert "Traceback" in text


@pytest.mark.parametrize("excess", [-1, 0, 1, MAX_LENGTH])
def test_the_log_keeps_the_end_of_a_line_that_is_too_long(excess) -> None:
    with Log() as log:
        logger.warning("first")
        logger.error("x" * (MAX_LENGTH + excess) + " and its end")
        assert log.text.endswith("xxx and its end")
        logger.info("the last")
    assert log.text.startswith("... earlier lines were cut off\nxxx")
    assert "xxx and its end\n" in log.text
    assert log.text.endswith("lcma: the last")
    assert len(log.text) <= MAX_LENGTH + 40
    logger.warning("after the block")
    assert "after the block" not in log.text
