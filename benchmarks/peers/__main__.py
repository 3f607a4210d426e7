"""`python -m benchmarks.peers [NAME ...]`: a symbol-year in other programs and in ours, whole process, in turns."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import _data, results
from benchmarks._learned import learned_from, put_in_force
from benchmarks._measure import ROOT, Round, Sample, load, machine, median, run_process, take_turns
from benchmarks._stage import TIMEFRAMES
from benchmarks.peers._environment import version_of
from benchmarks.peers._runs import PEERS, Candidate, Data, Peer
from benchmarks.results import Bar, Row, duration
from core.clock import MINUTE_MS
from core.indicators.resample import resample
from core.schema import Candles

__all__ = ["main"]

REFERENCE = "freqtrade 5m, 1m detail"
JUDGED = "ours, with features and a model in force"


def main(argv: list[str] | None = None) -> int:
    """Measure ours and the named programs, or all that can be installed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"only these: {', '.join(PEERS)} (all)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each run is made (3)")
    parser.add_argument("--quick", action="store_true", help="leave out the runs on one-minute candles (off)")
    parser.add_argument("--out", type=Path, default=results.FOLDER / "peers.json", help="where the figures go")
    arguments = parser.parse_args(argv)
    for name in arguments.names:
        if name not in PEERS:
            parser.error(f"'{name}' is not known; expected some of {', '.join(PEERS)}")
    about, skipped, versions = machine(), {}, {}
    with tempfile.TemporaryDirectory(prefix="trader-peers-") as folder:
        data, ours = prepare(Path(folder))
        for label in ("ours", JUDGED):
            ours[label]()
        runs = {label: _announced(label, once) for label, once in ours.items()}
        for name in arguments.names or PEERS:
            version, reason = version_of(PEERS[name].package)
            if reason:
                skipped[name] = reason
                print(f"{name}: skipped, {reason}", file=sys.stderr)
                continue
            versions[name] = version
            chosen = [run for run in PEERS[name].runs(data) if not (arguments.quick and run.minutes)]
            runs |= {run.label: _announced(run.label, run_of(PEERS[name], run, data)) for run in chosen}
            run_of(PEERS[name], chosen[0], data)()  # what is compiled or unpacked once is not timed
        told = take_turns(runs, arguments.rounds, warm=0)
    about["load_after"] = load()
    rows = judged(told)
    document = {"machine": about, "data": data.about, "versions": versions, "skipped": skipped}
    document |= {"rounds": arguments.rounds, "rows": rows}
    results.save(arguments.out, document)
    print(results.table(rows))
    return 0


def prepare(folder: Path) -> tuple[Data, dict[str, Round]]:
    """Write the candles for everybody, and our databases; return our runs."""
    year = _data.recorded_candles()
    about = "synthetic candles of a year" if year is None else "a recorded year of BTC/USDT"
    first = _data.make_candles(365) if year is None else year
    years = {_data.BTC: first, "ETH/USDT:USDT": _data.make_candles(365, "ETH/USDT:USDT")}
    paths = {symbol: _files(folder, symbol[:3], candles) for symbol, candles in years.items()}
    data = Data(folder, *paths[_data.BTC], *paths["ETH/USDT:USDT"], about)
    config = _data.write_config(folder / "ours", list(years), TIMEFRAMES)
    _data.fill(config, years, derived=True)
    made = learned_from(config, folder / "learned")
    in_force = put_in_force(made, _data.with_models(config, folder / "in-force"))

    def side(source: Path, *symbols: str) -> Round:
        def once() -> Sample:
            copied = _data.copy_database(source, folder / "retro")
            return run_process([sys.executable, "retro_scan.py", "--config", str(copied), "--symbols", *symbols], ROOT)

        return once

    return data, {
        "ours": side(config, _data.BTC),
        "ours, two symbols": side(config, *years),
        JUDGED: side(in_force, _data.BTC),
    }


def _files(folder: Path, name: str, candles: Candles) -> tuple[Path, Path]:
    end = int(candles.ts[-1]) + MINUTE_MS
    five = resample(candles, 5 * MINUTE_MS, int(candles.ts[0]), end)
    return (
        _data.save_candles(folder / f"{name}-1m.npz", candles),
        _data.save_candles(folder / f"{name}-5m.npz", five),
    )


def run_of(peer: Peer, run: Candidate, data: Data) -> Round:
    """Return a round of one run of a peer."""
    return lambda: run_process([*peer.command, *run.arguments], data.folder, peer.environment)


def _announced(label: str, once: Round) -> Round:
    def told() -> Sample:
        sample = once()
        print(f"{label}: {duration(sample['s'])}, {sample['peak_mb']:.0f} MB", file=sys.stderr, flush=True)
        return sample

    return told


def judged(told: dict[str, list[Sample]]) -> list[Row]:
    """Hold ours against the others."""
    seconds = {label: median(samples) for label, samples in told.items()}
    peaks = {label: median(samples, "peak_mb") for label, samples in told.items()}
    ours, further = seconds["ours"], seconds["ours, two symbols"] - seconds["ours"]
    cpu = median(told["ours"], "cpu_s")
    shown = (
        f"{duration(ours)} ({duration(cpu)} of processor), {peaks['ours']:.0f} MB; a second symbol {duration(further)}"
    )
    rows = [Row("ours: 5m 15m 1h 4h, 1m fills, written", shown, figures={"s": ours, "peak_mb": peaks["ours"]})]
    judged_s, judged_mb = seconds[JUDGED], peaks[JUDGED]
    figures = {"s": judged_s, "peak_mb": judged_mb}
    rows.append(
        Row("... with features and a model in force", f"{duration(judged_s)}, {judged_mb:.0f} MB", figures=figures)
    )
    for label in seconds:
        if not label.startswith("ours"):
            bar = Bar(10.0) if label == REFERENCE else Bar(1.0) if " 5m" in label and "two" not in label else None
            figures = {"s": seconds[label], "peak_mb": peaks[label]}
            text = f"{duration(seconds[label])}, {peaks[label]:.0f} MB"
            rows.append(Row(label, text, seconds[label] / ours, bar, figures))
    if REFERENCE in seconds:
        text = f"{duration(judged_s)} against {duration(seconds[REFERENCE])}"
        rows.append(
            Row(
                "with features and a model in force, against freqtrade's", text, seconds[REFERENCE] / judged_s, Bar(5.0)
            )
        )
        share = peaks["ours"] / peaks[REFERENCE]
        rows.append(Row("memory, against freqtrade's", f"{peaks['ours']:.0f} MB", share, Bar(0.5, at_least=False)))
        second = seconds.get(f"{REFERENCE}, two symbols", 0.0) - seconds[REFERENCE]
        if second > 0 and further > 0:
            text = f"{duration(further)} against {duration(second)}"
            rows.append(Row("a further symbol-year, against freqtrade's", text, second / further, Bar(25.0)))
    return rows


if __name__ == "__main__":
    sys.exit(main())
