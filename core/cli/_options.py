"""What each command is called, what it says of itself, and its options.

The law: every option says what it is and what it is when it is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from core.cli._values import address, filled, mode, one_of, positive, whole_to

__all__ = ["CONFIG", "add_commands"]

CONFIG = "config.yaml"
"""What `--config` is where it is left out."""

Add = Callable[..., argparse.ArgumentParser]

_PROCESSES = 1_024  # as of compute.jobs
_DATE = "a date or time such as 2024-01-31T12:00, UTC"


def add_commands(add: Add) -> None:
    """Add every command with its options.

    Parameters
    ----------
    add : callable
        Given a name, a summary and perhaps examples, returns the command's parser.
    """
    _add_data_commands(add)
    _add_scan_commands(add)
    _add_model_commands(add)
    _add_explaining_commands(add)
    _add_check_commands(add)
    _add_care_commands(add)


def _add_data_commands(add: Add) -> None:
    made = add("init-db", "Create the database, or bring it up to this version (a back-up is made first).")
    made.add_argument("--dry-run", action="store_true", help="only say what would be done (off)")

    add("db-inspect", "Count and measure what the database holds: rows, ranges, gaps, sizes.")

    made = add(
        "download-data",
        "Back-fill one-minute candles from the exchange, or move candles in and out of files.",
        "examples:\n  trader download-data --start 2024-01-01\n"
        "  trader download-data --import candles/ --exchange binance\n  trader download-data --export out/",
    )
    made.add_argument("--start", metavar="DATE", help=f"from here, {_DATE} (backfill.start_date)")
    made.add_argument("--end", metavar="DATE", help=f"up to here, {_DATE} (now)")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all configured)")
    made.add_argument(
        "--import",
        dest="source",
        type=filled,
        metavar="PATH",
        help="read Parquet, CSV or zipped CSV, a file or folder (none)",
    )
    made.add_argument(
        "--symbol", type=filled, metavar="SYMBOL", help="whose candles the imported file holds (told from its name)"
    )
    made.add_argument(
        "--exchange", type=filled, metavar="ID", help="record imported candles under this exchange (exchange.id)"
    )
    made.add_argument(
        "--export", dest="target", type=filled, metavar="FOLDER", help="write one Parquet file a symbol (none)"
    )
    made.add_argument("--timeframe", type=filled, metavar="TF", help="what to export (1m)")
    made.add_argument("--force", action="store_true", help="overwrite exported files (off)")


def _add_scan_commands(add: Add) -> None:
    made = add("run", "Run the engine: sync, resample, execute and scan each minute, and send alerts.")
    made.add_argument("--once", action="store_true", help="one full cycle, then exit (off)")

    add("scan-signals", "Resample, execute and scan what is stored, once, without asking the exchange.")

    made = add(
        "retro-scan",
        "Fill in signals and trades over stored candles; running it again changes nothing.",
        "examples:\n  trader retro-scan --start 2023-01-01 --end 2023-04-01 --timeframes 15m 1h 4h\n"
        "  trader retro-scan --jobs 8\n  trader retro-scan --cluster tcp://10.0.0.5:8786",
    )
    made.add_argument("--start", metavar="DATE", help=f"first close, {_DATE} (the first stored candle)")
    made.add_argument("--end", metavar="DATE", help=f"last close, {_DATE} (the newest stored candle)")
    made.add_argument("--stride", type=positive, default=1, metavar="N", help="keep every N-th candle of the grid (1)")
    made.add_argument(
        "--limit-per-pair",
        type=positive,
        default=0,
        metavar="N",
        help="keep the newest N signals per symbol and timeframe (all)",
    )
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all configured)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all configured)")
    made.add_argument(
        "--model", default="", metavar="VERSION", help="who judges: a version, or current (who was in force then)"
    )
    who = made.add_mutually_exclusive_group()
    who.add_argument(
        "--jobs",
        type=whole_to(_PROCESSES),
        default=0,
        metavar="N",
        help="processes at once (up to compute.jobs, as worth it)",
    )
    who.add_argument(
        "--cluster",
        type=address,
        metavar="ADDRESS",
        help="scheduler of a Dask cluster that computes (compute.backend)",
    )

    made = add("analyze-results", "Print the results with their intervals and write the equity curve as CSV.")
    made.add_argument(
        "--out", type=filled, default="equity.csv", metavar="FILE", help="where the equity curve goes (equity.csv)"
    )
    made.add_argument("--exit-policy", metavar="ID", help="whose trades to count (the newest)")

    _add_report_command(add)
    _add_stress_command(add)

    made = add("demo", "Build a synthetic market, learn from its past, then run the live engine over the days after.")
    made.add_argument(
        "--seconds", type=positive, default=60, metavar="S", help="about how long the live part takes, seconds (60)"
    )
    made.add_argument(
        "--world",
        type=one_of("edge", "walk", "fat"),
        metavar="WORLD",
        help="edge, or walk or fat where nothing can be learned (exchange.synthetic.world)",
    )


def _add_report_command(add: Add) -> None:
    made = add(
        "report",
        "Write the results as one HTML page that needs nothing but itself: a tear sheet.",
        "examples:\n  trader report --html out/report.html\n  trader report --timeframes 1h --start 2024-01-01 --force",
    )
    made.add_argument(
        "--html",
        nargs="?",
        type=filled,
        const="report.html",
        default="report.html",
        metavar="FILE",
        help="where to (report.html)",
    )
    made.add_argument("--start", metavar="DATE", help=f"candidates decided from here on, {_DATE} (the first)")
    made.add_argument("--end", metavar="DATE", help=f"candidates decided before, {_DATE} (the last)")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all on record)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all on record)")
    made.add_argument("--exit-policy", metavar="ID", help="whose trades to count (the newest)")
    made.add_argument("--force", action="store_true", help="replace a file that is there (off)")


def _add_stress_command(add: Add) -> None:
    made = add(
        "stress",
        "Play the trades on record again under other assumptions about fills, costs and delays; nothing is stored.",
        "variants: conservative optimistic touch through costs-X delay-MINUTES together\n"
        "examples:\n  trader stress --timeframes 1h 4h\n  trader stress --variants costs-2 delay-30 together",
    )
    made.add_argument("--start", metavar="DATE", help=f"candidates decided from here on, {_DATE} (the first)")
    made.add_argument("--end", metavar="DATE", help=f"candidates decided before, {_DATE} (the last)")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all on record)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all on record)")
    made.add_argument("--exit-policy", metavar="ID", help="whose trades to play again (the newest)")
    made.add_argument(
        "--variants",
        nargs="+",
        metavar="NAME",
        help="what to assume (conservative optimistic through costs-1.5 delay-1 delay-2 delay-5 delay-15 together)",
    )


def _add_model_commands(add: Add) -> None:
    add("train-meta", "Learn p(win) and payoff from all finished candidates; a model that is no worse comes in force.")

    made = add("calibrate-meta", "Fit the calibrator of the model in force anew, on what was said out of sample.")
    made.add_argument("--dry-run", action="store_true", help="only say what would be changed (off)")

    made = add(
        "tune-thresholds",
        "Look for thresholds with evidence and write them into the configuration file.",
        "examples:\n  trader tune-thresholds --dry-run\n  trader tune-thresholds --mode p",
    )
    made.add_argument(
        "--mode", type=mode, metavar="MODE", help="ev or p, for p(win) (auto.weekly_tune.mode)", default=None
    )
    made.add_argument("--dry-run", action="store_true", help="only show the change of the file (off)")

    made = add("model", "List models, show one, put one in force, or take the last change back.")
    actions = ("list", "show", "promote", "rollback")
    made.add_argument("action", type=one_of(*actions), metavar="ACTION", help="list, show, promote or rollback")
    made.add_argument("version", nargs="?", metavar="VERSION", help="such as m20260201-1a2b3c4d")

    made = add("thresholds", "List the thresholds that were in force, or take the last change back.")
    made.add_argument("action", type=one_of("list", "rollback"), metavar="ACTION", help="list or rollback")
    made.add_argument("--last", type=positive, default=10, metavar="N", help="how many changes to list (10)")


def _add_explaining_commands(add: Add) -> None:
    made = add("why", "Explain one signal: its plan, chance, worth and verdict, and what became of it.")
    made.add_argument("id", metavar="ID", help="the signal's number, such as 12 or #12")

    example = "example:\n  trader whynot BTC/USDT:USDT 1h 2024-01-31T12:00"
    made = add(
        "whynot", "Explain why a close has no signal: which condition failed, or what keeps it from a scan.", example
    )
    made.add_argument("symbol", metavar="SYMBOL", help="such as BTC/USDT:USDT")
    made.add_argument("timeframe", metavar="TF", help="such as 1h")
    made.add_argument("time", nargs="?", metavar="TIME", help=f"the last close up to here, {_DATE} (the newest)")

    made = add("funnel", "Count closes, candidates, verdicts, limits, fills and wins, with rates and their intervals.")
    made.add_argument("--start", metavar="DATE", help=f"candidates decided from here on, {_DATE} (the first)")
    made.add_argument("--end", metavar="DATE", help=f"candidates decided before, {_DATE} (the last)")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all on record)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all on record)")

    made = add("reliability", "Compare what was predicted, before the outcome, with what came.")
    splits = ("pair", "symbol", "timeframe", "regime", "setup", "model", "month")
    made.add_argument("--by", type=one_of(*splits), metavar="WHAT", help=f"also by {' '.join(splits)} (in all only)")


def _add_check_commands(add: Add) -> None:
    examples = "examples:\n  trader check lookahead --synthetic\n  trader check warmup --timeframes 1h 4h"
    made = add(
        "check",
        "Look for anything that changes with the future, or for declared warm-ups that are too short.",
        examples,
    )
    made.add_argument("action", type=one_of("lookahead", "warmup"), metavar="ACTION", help="lookahead or warmup")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all configured)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all derived)")
    made.add_argument("--cuts", type=positive, default=40, metavar="N", help="how many times each is cut (40)")
    made.add_argument("--seed", type=positive, default=1, metavar="N", help="which cuts, and which other futures (1)")
    made.add_argument("--synthetic", action="store_true", help="on generated candles instead of stored ones (off)")

    example = "example:\n  trader parity --start 2024-01-01 --explain"
    made = add("parity", "Make recorded live decisions again from the database, and explain each difference.", example)
    made.add_argument("--start", metavar="DATE", help=f"closes after this, {_DATE} (the first live one)")
    made.add_argument("--end", metavar="DATE", help=f"closes up to this, {_DATE} (the last live one)")
    made.add_argument("--symbols", nargs="+", metavar="SYMBOL", help="only these (all that were scanned)")
    made.add_argument("--timeframes", nargs="+", metavar="TF", help="only these (all that were scanned)")
    made.add_argument("--explain", action="store_true", help="list what differs, and why (off)")


def _add_care_commands(add: Add) -> None:
    made = add(
        "health",
        "Say whether the engine is alive and well: last cycle, candles, jobs, messages, disk; exit code 0 or 1.",
        "examples:\n  trader health\n  trader health --json",
    )
    made.add_argument("--json", action="store_true", help="as JSON, for a program (off)")

    made = add(
        "maintain",
        "Do the daily upkeep now: forget what is old, give unused pages back, empty the write-ahead log.",
        "Without options: all of it but the back-up and the check. With some: those, then the log is emptied.",
    )
    made.add_argument("--retention", action="store_true", help="only forget what is old, see docs/maintenance.md (off)")
    made.add_argument("--vacuum", action="store_true", help="only give unused pages back (off)")
    made.add_argument("--backup", action="store_true", help="make a back-up (off)")
    made.add_argument("--check", action="store_true", help="check the whole file for damage (off)")

    example = "examples:\n  trader backup\n  trader backup --to /mnt/usb\n  trader backup --list"
    made = add("backup", "Copy the database, its models and the configuration aside while all goes on.", example)
    made.add_argument("--to", type=filled, metavar="FOLDER", help="where to (the folder backups of app.data_dir)")
    made.add_argument("--list", action="store_true", help="list those that are there (off)")

    made = add("restore", "Put a back-up in the place of the database while no engine runs; the one before is kept.")
    made.add_argument("file", type=filled, metavar="FILE", help="such as data/backups/ohlcv-20240131T031000Z.db")
    made.add_argument("--force", action="store_true", help="go on although another process has the database open (off)")

    made = add("doctor", "Look at all that has to be right: machine, configuration, database, exchange, messengers.")
    made.add_argument("--offline", action="store_true", help="ask neither the exchange nor a messenger (off)")
    made.add_argument("--deep", action="store_true", help="compare every index of the database with its table (off)")
    made.add_argument("--json", action="store_true", help="print one JSON object (off)")

    made = add("config", "Check the configuration, or show it with secrets hidden.")
    made.add_argument("action", type=one_of("check", "show"), metavar="ACTION", help="check or show")

    made = add("symbols", "List the symbols, or pause and resume following one.")
    made.add_argument("action", type=one_of("list", "pause", "resume"), metavar="ACTION", help="list, pause or resume")
    made.add_argument("symbol", nargs="?", metavar="SYMBOL", help="such as BTC/USDT:USDT")
