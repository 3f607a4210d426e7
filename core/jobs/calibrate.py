"""Job `auto_calibrate`: fit the map from scores to probabilities anew, on what was said out of sample.

The law: a calibrator that is no better than the one in force changes nothing; a new one makes a new version of the
model, and the old one stays as it was.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from core.clock import monotonic_s
from core.errors import TraderError
from core.gate import Calibrator, Model
from core.jobs._desk import Desk, Report
from core.jobs._gating import load_model
from core.jobs._learning import champion_of, dataset_of, estimator_of, fit_rules, ledger_of, publish, tuning_rows
from core.jobs._when import effective_ms
from core.results.rows import week_of
from core.schema import FloatArray
from core.training.calibrate import CalibrationReport, fit_calibrator, log_losses
from core.training.card import card_of, golden_rows

__all__ = ["LEAST_GAIN", "run"]

LEAST_GAIN = 5e-4
"""Nats a candidate by which a calibrator must better the one in force, at least; less is of no use to anyone."""


async def run(desk: Desk, now_ms: int, live: bool = False, dry_run: bool = False) -> Report:
    """Fit a calibrator and put the model in force under it, where it is better.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time: outcomes known later do not count.
    live : bool
        Whether the market's time goes on meanwhile.
    dry_run : bool
        Say what would be changed and change nothing.

    Raises
    ------
    TraderError
        No model is in force, it was made under other parameters, or there is too little to calibrate on yet.
    ModelError
        The one in force cannot be read.
    """
    began_s = monotonic_s()
    model = champion_of(desk, "calibrate")
    version = model.version
    dataset = dataset_of(desk, now_ms)
    rows = tuning_rows(desk, dataset, ledger_of(desk))
    if rows.empty:
        raise TraderError("no out-of-sample prediction has an outcome yet; train again with `python train_meta.py`")
    p_geo, p_raw, won = (rows[name].to_numpy(np.float64) for name in ("p_geo", "p_raw", "won"))
    weights = rows["uniqueness"].to_numpy(np.float64)
    decided = rows["decided_ms"].to_numpy(np.int64)
    calibrator, report = fit_calibrator(
        p_geo,
        p_raw,
        won,
        weights,
        week_of(decided),
        fit_rules(desk).calibration,
        rows["train_max_t1"].to_numpy(np.int64),
        decided,
    )
    before = float(np.average(log_losses(model.calibrator.apply(p_geo, p_raw), won), weights=weights))
    gain = before - report.log_loss
    least = max(LEAST_GAIN, 2.0 / report.n_eff)  # what two fitted numbers gain on the rows they were fitted on
    better = gain > least
    if better and not dry_run:
        # Its map has learned of outcomes that the model itself may not have seen.
        learned_to = max(model.train_max_t1, int(rows["known_ms"].max()))
        new = replace(model, calibrator=calibrator, train_max_t1=learned_to)
        version = _put_in_force(desk, new, report, dataset.vectors, (now_ms, began_s, live))
    words = _words(model, calibrator, report, (gain, least), version, better, dry_run)
    return Report("auto_calibrate", counts={"results": len(rows), "changed": int(better and not dry_run)}, text=words)


def _put_in_force(
    desk: Desk, model: Model, report: CalibrationReport, vectors: FloatArray, when: tuple[int, float, bool]
) -> str:
    """Publish a model under its new map and crown it; it still bears the version of the one it was made from."""
    card = card_of(desk.reader.model_card(model.version) or "{}")
    golden = golden_rows(model, vectors)
    facts = {**card, "golden": golden, "calibration": report.to_json(), "calibrated": model.version}
    version, _ = publish(desk, model, estimator_of(desk), facts, when[0])
    load_model(desk, version)  # what cannot be read back is not put in force
    desk.writer.crown(version, effective_ms(*when), f"calibrated anew: {report.method}")
    return version


def _words(
    model: Model,
    calibrator: Calibrator,
    report: CalibrationReport,
    gains: tuple[float, float],
    version: str,
    better: bool,
    dry_run: bool,
) -> str:
    map_ = (
        f"{report.method}, a = {calibrator.a:.2f}, b = {calibrator.b:+.3f}"
        if report.method == "platt"
        else report.method
    )
    gain, least = gains
    lines = [
        f"{report.n} out-of-sample results in {report.weeks} weeks, {report.n_eff:.0f} effective",
        f"calibrator: {map_}; log-loss {report.log_loss:.4f}, geometry alone {report.log_loss_geometry:.4f}",
        f"gain over the calibrator of {model.version}: {gain:+.4f} nats a candidate",
    ]
    if not better:
        lines.append(f"less than {least:.4f}: everything stays as it is")
    elif dry_run:
        lines.append("would make a new version and put it in force")
    else:
        lines.append(f"{version} is in force")
    return "\n".join(lines)
