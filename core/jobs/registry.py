"""Jobs of the registry: what models and thresholds there are, and taking a change back.

The law: the past is only added to. Taking back puts the one before in force again from now on, byte for byte, and says
so in the record.
"""

from __future__ import annotations

import json
from typing import Any

from core.clock import format_ms
from core.config import Gating
from core.config.rewrite import propose, replace, undone_on_failure
from core.errors import ConfigError, UsageError
from core.gate import Evidence
from core.jobs._desk import Desk, Report
from core.jobs._gating import gating_text, load_model, require_recorded
from core.jobs._when import not_before
from core.training.card import card_of

__all__ = ["listed", "promoted", "rolled_back", "shown", "thresholds_listed", "thresholds_rolled_back"]


def listed(desk: Desk) -> Report:
    """Say what models there are, newest last, and which were in force when."""
    models, zone = desk.reader.models(), desk.config.app.timezone
    if models.empty:
        return Report("model", text="no model yet: train one with `python train_meta.py`")
    rows = zip(models["version"], models["state"], models["created_ms"], strict=True)
    lines = [
        f"{version}  {state:<9}  made {format_ms(created, zone)}  {_in_short(desk, version)}"
        for version, state, created in rows
    ]
    reigns = desk.reader.reigns()
    lines += [
        f"from {format_ms(since, zone)}: {version or 'none'} ({reason})"
        for since, version, reason in zip(reigns["since_ms"], reigns["version"], reigns["reason"], strict=True)
    ]
    return Report("model", counts={"models": len(models)}, text="\n".join(lines))


def _in_short(desk: Desk, version: str) -> str:
    card = card_of(desk.reader.model_card(version) or "{}")
    return f"n = {card['n']}, {card['n_eff']:.0f} effective, skill {'shown' if card['skill'] else 'not shown'}"


def shown(desk: Desk, version: str) -> Report:
    """Show a model's card, without the vectors of its golden rows.

    Raises
    ------
    UsageError
        There is no such model.
    """
    require_recorded(desk, version)
    card = card_of(desk.reader.model_card(version) or "{}")
    told: dict[str, Any] = {name: value for name, value in card.items() if name != "golden"}
    return Report("model", text=json.dumps(told, indent=2, sort_keys=True))


def promoted(desk: Desk, version: str, now_ms: int) -> Report:
    """Put a model in force because somebody says so; it must verify.

    Raises
    ------
    UsageError
        There is no such model.
    ModelError
        Its files do not verify.
    """
    require_recorded(desk, version)
    load_model(desk, version)
    changed = desk.writer.crown(version, _from(desk, now_ms), "put in force by hand")
    return Report("model", text=f"{version} {'is' if changed else 'was already'} in force")


def rolled_back(desk: Desk, now_ms: int) -> Report:
    """Put the previous model in force again.

    Raises
    ------
    UsageError
        There is none.
    ModelError
        Its files do not verify.
    """
    models = desk.reader.models()
    before = models.loc[models["state"] == "previous", "version"].tolist()
    if not before:
        raise UsageError("no model was in force before the one that is; `trader model list` shows what there is")
    load_model(desk, before[0])
    desk.writer.crown(before[0], _from(desk, now_ms), "taken back by hand")
    return Report("model", text=f"{before[0]} is in force again")


def _from(desk: Desk, now_ms: int) -> int:
    """Return from when on a reign that is begun now holds: what closed until now may have been decided."""
    return not_before(now_ms + 1, desk.reader.reigns()["since_ms"])


def thresholds_listed(desk: Desk, last: int) -> Report:
    """Say what thresholds were in force when, the newest first, and what they rest on."""
    rows, zone = desk.reader.thresholds(limit=last), desk.config.app.timezone
    if rows.empty:
        return Report(
            "thresholds", text="none on record yet: the configuration's are written down when the engine runs"
        )
    lines = []
    for row in rows.to_dict("records"):
        gating, evidence = json.loads(row["gating"]), json.loads(row["evidence"])
        pairs = sum(len(timeframes) for timeframes in gating["per_pair_tf"].values())
        certified = [one["name"] for one in evidence["slices"] if one["certified"]]
        lines.append(
            f"#{row['id']}  from {format_ms(row['since_ms'], zone)}  by {row['origin']} ({row['note']})  "
            f"min_ev_pct {gating['min_ev_pct']:g}, threshold {gating['threshold']:g}, {pairs} pairs of their own, "
            f"certified: {', '.join(certified) or 'nothing'}"
        )
    return Report("thresholds", counts={"changes": len(rows)}, text="\n".join(lines))


def thresholds_rolled_back(desk: Desk, now_ms: int) -> Report:
    """Take the last tuning back: the thresholds by symbol and timeframe, and the evidence, of before.

    Raises
    ------
    UsageError
        There is nothing to take back.
    ConfigError
        The configuration file cannot take them.
    """
    rows = desk.reader.thresholds()
    tuned = rows.index[rows["origin"] == "tune"]
    if not len(tuned):
        raise UsageError("no tuning is on record that could be taken back")
    if desk.source is None:
        raise ConfigError("this configuration comes from no file that thresholds could be written to")
    last = rows.loc[tuned[-1]]
    pairs: dict[str, Any] = {}
    evidence = json.dumps(Evidence().to_json())
    if tuned[-1]:  # nothing was in force before the very first
        before = rows.loc[tuned[-1] - 1]
        gating, evidence = Gating.model_validate(json.loads(before["gating"])), before["evidence"]
        pairs = gating.model_dump(mode="json")["per_pair_tf"]
    change = propose(desk.source, pairs)
    since_ms = not_before(now_ms + 1, rows["since_ms"])
    with undone_on_failure(change), desk.writer.transaction():
        text = gating_text(change.config.models.meta.gating)
        desk.writer.put_thresholds(since_ms, text, evidence, "rollback", f"as before #{last['id']}")
        _raise_again(desk, int(last["since_ms"]), since_ms)
        replace(change)  # last: where it fails nothing is recorded
    return Report(
        "thresholds", text=f"{change.path.name}:\n{change.diff}" if change.diff else "the file stays as it is"
    )


def _raise_again(desk: Desk, tuned_ms: int, since_ms: int) -> None:
    """Let the alarms stand again that a tuning ended: the evidence they withdrew is the one that returns."""
    ended = desk.reader.drift()
    for series in ended.loc[(ended["ms"] == tuned_ms) & (ended["state"] == "clear"), "statistic"]:
        raised = ended[(ended["statistic"] == series) & (ended["state"] == "alarm")].iloc[-1]
        desk.writer.put_drift(since_ms, series, "alarm", raised["value"], int(raised["n"]), raised["detail"])
