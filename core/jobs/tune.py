"""Job `auto_tune`: thresholds with evidence, from what was said out of sample and what came of it.

The law: the configuration file and the record of thresholds change together or not at all; what is not shown is not
certified.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping

from core.clock import format_ms, monotonic_s
from core.config.rewrite import Rewrite, propose, replace, undone_on_failure
from core.errors import ConfigError, TraderError
from core.gate import Override
from core.jobs._desk import Desk, Report
from core.jobs._gating import gating_text
from core.jobs._learning import champion_of, dataset_of, ledger_of, tuning_rows
from core.jobs._when import effective_ms
from core.training.tune import TuneRules, Tuning, tune

__all__ = ["run"]


async def run(desk: Desk, now_ms: int, live: bool = False, mode: str = "", dry_run: bool = False) -> Report:
    """Tune thresholds and write them down.

    Parameters
    ----------
    desk : Desk
    now_ms : int
        Market time: results known later do not count.
    live : bool
        Whether the market's time goes on meanwhile.
    mode : str
        ``ev`` or ``p``; `auto.weekly_tune.mode` where not given.
    dry_run : bool
        Say what would be changed and change nothing.

    Raises
    ------
    TraderError
        No model is in force, it was made under other parameters, or there is nothing to tune on yet.
    ModelError
        The one in force cannot be read.
    ConfigError
        The configuration file cannot take the thresholds, or was changed meanwhile.
    """
    began_s = monotonic_s()
    model = champion_of(desk, "tune")
    if desk.source is None:
        raise ConfigError("this configuration comes from no file that thresholds could be written to")
    rules = _rules(desk, mode, model.skill)
    rows = tuning_rows(desk, dataset_of(desk, now_ms), ledger_of(desk))
    if rows.empty:
        raise TraderError("no out-of-sample prediction has an outcome yet; train again with `python train_meta.py`")
    tuning = tune(rows, now_ms, rules)
    change = propose(desk.source, _plain(tuning.per_pair_tf))
    if not dry_run:
        _store(desk, tuning, change, effective_ms(now_ms, began_s, live), model.version)
    certified = sum(one.certified for one in tuning.evidence.slices.values())
    counts = {"results": len(rows), "slices": len(tuning.evidence.slices), "certified": certified}
    return Report("auto_tune", counts=counts, text=_text(tuning, change, dry_run))


def _rules(desk: Desk, mode: str, skill: bool) -> TuneRules:
    gating = desk.config.models.meta.gating
    chosen = mode or desk.config.auto.weekly_tune.mode
    return TuneRules(
        mode=chosen,
        floor=max(gating.floors.min_ev_pct, gating.min_ev_pct)
        if chosen == "ev"
        else max(gating.floors.threshold, gating.threshold),
        target_winrate=gating.target_winrate_pct / 100.0,
        min_n_eff=float(gating.min_closed_samples),
        window_days=gating.window_days,
        skill=skill,
    )


def _plain(per_pair_tf: Mapping[str, Mapping[str, Override]]) -> dict[str, dict[str, dict[str, object]]]:
    """Return thresholds as the configuration file has them."""
    return {
        symbol: {
            timeframe: {
                "min_ev_pct": one.min_ev_pct,
                "threshold": one.threshold,
                "expires": None if one.expires_ms is None else format_ms(one.expires_ms)[:16].replace(" ", "T"),
            }
            for timeframe, one in timeframes.items()
        }
        for symbol, timeframes in per_pair_tf.items()
    }


def _store(desk: Desk, tuning: Tuning, change: Rewrite, since_ms: int, version: str) -> None:
    text = gating_text(change.config.models.meta.gating)
    evidence = json.dumps(tuning.evidence.to_json(), sort_keys=True, allow_nan=False)
    with undone_on_failure(change), desk.writer.transaction():
        desk.writer.put_thresholds(since_ms, text, evidence, "tune", f"model {version}")
        alarms = desk.reader.drift_at(since_ms).query("state == 'alarm'")
        for series, alarm_ms in zip(alarms["statistic"], alarms["ms"].tolist(), strict=True):
            if _is_over(desk, tuning, alarm_ms):
                desk.writer.put_drift(since_ms, series, "clear", math.nan, 0, "thresholds were tuned again")
        replace(change)  # last: where it fails nothing is recorded


def _is_over(desk: Desk, tuning: Tuning, alarm_ms: int) -> bool:
    """Say whether a tuning ends an alarm: it has found evidence in spite of it, or another model is in force since."""
    found = any(one.certified for one in tuning.evidence.slices.values())
    return found or bool((desk.reader.reigns()["since_ms"] >= alarm_ms).any())


def _text(tuning: Tuning, change: Rewrite, dry_run: bool) -> str:
    head = "would write" if dry_run else "wrote"
    told = f"{head} into {change.path.name}:\n{change.diff}" if change.diff else f"{change.path.name}: stays as it is"
    return "\n".join([*tuning.report, told])
