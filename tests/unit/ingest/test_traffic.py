"""What a report says of an exchange's answers can be read back and added up."""

from __future__ import annotations

from core.ingest.traffic import counts_of, error_rate, mean_answer_ms, read_traffic
from core.jobs._desk import Report
from core.ports import Traffic


def test_what_reports_say_is_added_up() -> None:
    told = [Traffic(10, 1, 1_000, 300), Traffic(30, 3, 6_000, 900), Traffic()]
    details = [str(Report("sync", counts={"candles": 3, **counts_of(one)})) for one in told]
    total = read_traffic(details)
    assert total == Traffic(40, 4, 7_000, 900)
    assert error_rate(total) == 0.1 and mean_answer_ms(total) == 175.0


def test_what_a_problem_quotes_is_no_count() -> None:
    detail = str(Report("sync", False, counts_of(Traffic(4, 1, 40, 20)), ("bitget said 'requests 9000 failures 9'",)))
    assert read_traffic([detail]) == Traffic(4, 1, 40, 20)


def test_nothing_asked_has_no_rate() -> None:
    assert error_rate(read_traffic(["sync: nothing to do"])) is None
    assert mean_answer_ms(Traffic()) is None
