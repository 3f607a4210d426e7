"""Commands about the engine itself: what runs, what judges, what is wrong.

The law: facts from the store and nothing else, so that an engine that stands still is seen to.
"""

from __future__ import annotations

from core.clock import format_duration, format_ms
from core.errors import ModelError
from core.jobs._asking import Ask, Reply
from core.jobs._desk import Desk
from core.jobs._period import live_rows, standing_of
from core.results.bot import titled
from core.results.explain import escaped
from core.results.health import HealthFacts, health_of, health_words
from core.results.metrics import UNGATED
from core.results.summary import standing_lines
from core.store.vitals import read_vitals
from core.training.card import card_of

__all__ = ["health", "model", "status"]


def status(ask: Ask) -> Reply:
    """Say what runs."""
    desk, zone = ask.desk, ask.desk.config.app.timezone
    facts = _facts(ask)
    wrong = [finding for finding in health_of(facts, zone) if not finding.ok]
    running = live_rows(desk)["status"].value_counts()
    off = f", {len(facts.off)} switched off" if facts.off else ""
    signals = desk.reader.signals(exchange=desk.exchange, origin="live", limit=1, columns=["id", "decided_ms"])
    newest = (
        f"#{int(signals['id'].iloc[0])}, {format_ms(int(signals['decided_ms'].iloc[0]), zone)}"
        if len(signals)
        else "none yet"
    )
    muted = desk.reader.mutes(ask.now_ms, ask.channel)
    last = f"{format_duration(ask.now_ms - facts.last_cycle_ms)} ago" if facts.last_cycle_ms else "never"
    lines = [
        f"Market time: {format_ms(ask.now_ms, zone)}; last cycle {last}",
        f"Follows {len(facts.frontiers)} symbols of {escaped(desk.exchange)}{off}, {', '.join(desk.config.timeframes)}",
        f"Newest candidate: {newest}",
        f"Paper account: {int(running.get('OPEN', 0))} open, {int(running.get('PENDING', 0))} waiting",
        f"Messages waiting: {facts.waiting}",
    ]
    if len(muted):
        until = (f"{row['symbol']} until {format_ms(int(row['until_ms']), zone)}" for row in muted.to_dict("records"))
        lines.append(f"Muted: {escaped(', '.join(until))}")
    lines += [f"WRONG: {escaped(f'{finding.name}: {finding.told}')}" for finding in wrong] or ["Nothing is wrong."]
    return Reply(titled("Status", lines, ask.moment))


def health(ask: Ask) -> Reply:
    """Say what is wrong, if anything."""
    findings = health_of(_facts(ask), ask.desk.config.app.timezone)
    wrong = sum(not finding.ok for finding in findings)
    title = f"{wrong} of {len(findings)} checks failed" if wrong else "All is well"
    return Reply(titled(title, [escaped(line) for line in health_words(findings)], ask.moment))


def model(ask: Ask) -> Reply:
    """Say what model is in force and what is known about it."""
    desk = ask.desk
    lines = [escaped(line) for line in standing_lines(standing_of(desk, ask.now_ms))]
    version = desk.reader.champion_at(ask.now_ms)
    if not version:
        lines.append(escaped(UNGATED))
    else:
        lines += _card_lines(desk, version)
    return Reply(titled("Model", lines, ask.moment))


def _card_lines(desk: Desk, version: str) -> list[str]:
    try:
        card = card_of(desk.reader.model_card(version) or "{}")
        return [
            f"Learned from {int(card['n']):,} results, worth {float(card['n_eff']):,.0f} independent ones; skill over "
            f"plain geometry {'shown' if card['skill'] else 'not shown'} out of sample."
        ]
    except (ModelError, KeyError, TypeError, ValueError):
        return ["Its card cannot be read: trader model show"]


def _facts(ask: Ask) -> HealthFacts:
    config, channels = ask.desk.config, tuple(ask.desk.notifiers)
    path, base = ask.desk.writer.path, config.data.base_timeframe
    return read_vitals(path, ask.desk.exchange, base, channels, ask.now_ms, config.symbols)
