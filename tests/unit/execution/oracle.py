"""A slow reading of the rules of execution, one trade at a time, with nothing of the kernel in it.

Longs and shorts are told apart by asking on which side of a price another one lies, not by a sign.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MINUTE = 60_000


@dataclass
class Costs:
    resting: float
    crossing: float
    slippage_pct: float


@dataclass
class Plan:
    direction: str
    order_type: str
    entry: float
    sl: float
    tp1: float
    atr: float
    start: int
    valid_until: int
    hold: int
    targets: list[tuple[float, float]]
    be_after: int
    trail: str
    trail_mult: float
    trail_after: int
    exit_at: list[int]


@dataclass
class Oracle:
    """One trade; `play` it over (ts, open, high, low, close) rows."""

    plan: Plan
    costs: Costs
    through: bool
    conservative: bool
    cancel_if_missed: bool
    marks: list[tuple[int, float]]
    status: str = "PENDING"
    reason: str = ""
    opened: int = 0
    closed: int = 0
    fill: float = float("nan")
    stop: float = float("nan")
    legs: list[tuple[float, float]] = field(default_factory=list)
    fees: float = 0.0
    funding: float = 0.0
    held: float = 0.0
    done_targets: int = 0
    ambiguous: bool = False
    seen_highs: list[float] = field(default_factory=list)
    seen_lows: list[float] = field(default_factory=list)
    excursion: list[float] = field(default_factory=list)
    last_paid: int = 0
    first: bool = True
    kinds: list[str] = field(default_factory=list)

    @property
    def long(self) -> bool:
        return self.plan.direction == "long"

    def at_or_worse(self, price: float, level: float) -> bool:
        return price <= level if self.long else price >= level

    def at_or_better(self, price: float, level: float) -> bool:
        return price >= level if self.long else price <= level

    def play(self, rows: list[tuple[int, float, float, float, float]], frontier: int, delisted: bool) -> Oracle:
        self.stop = self.plan.sl
        for ts, open_, high, low, _ in rows:
            if ts < self.plan.start or ts >= frontier:
                continue
            best, worst = (high, low) if self.long else (low, high)
            if self.status == "PENDING":
                self.wait(ts, open_, best, worst)
            elif self.status == "OPEN":
                self.hold(ts, open_, best, worst)
        if self.status == "PENDING" and frontier >= self.plan.valid_until:
            self.end("EXPIRED", "EXPIRED", self.plan.valid_until)
        known = [row for row in rows if row[0] < frontier]
        if delisted and self.status == "PENDING":
            self.end("CANCELLED", "DELISTED", max(known[-1][0], self.plan.start - MINUTE))
        if delisted and self.status == "OPEN":
            self.leave(known[-1][0], known[-1][4], "DELISTED", taker=True)
        return self

    def wait(self, ts: int, open_: float, best: float, worst: float) -> None:
        plan, first, self.first = self.plan, self.first, False
        if ts >= plan.valid_until:
            return self.end("EXPIRED", "EXPIRED", plan.valid_until)
        if first or plan.order_type == "stop":
            if self.at_or_worse(open_, plan.sl):
                return self.end("CANCELLED", "GAPPED", ts)
            if self.at_or_better(open_, plan.tp1):
                return self.end("CANCELLED", "MISSED", ts)
        if plan.order_type == "market":
            return self.enter(ts, open_, best, worst, open_, taker=True, certain=True)
        if plan.order_type == "limit":
            if first and self.at_or_worse(open_, plan.entry):
                return self.enter(ts, open_, best, worst, open_, taker=True, certain=True)
            if self.at_or_worse(worst, plan.entry) and not (self.through and worst == plan.entry):
                return self.enter(ts, open_, best, worst, plan.entry, taker=False, certain=True)
        if plan.order_type == "stop" and self.at_or_better(best, plan.entry):
            gapped = self.at_or_better(open_, plan.entry)
            return self.enter(ts, open_, best, worst, open_ if gapped else plan.entry, taker=True, certain=gapped)
        if self.cancel_if_missed and self.at_or_better(best, plan.tp1):
            return self.end("CANCELLED", "MISSED", ts)
        return None

    def enter(
        self, ts: int, open_: float, best: float, worst: float, price: float, *, taker: bool, certain: bool
    ) -> None:
        slip = self.costs.slippage_pct / 100.0
        if taker:
            price = price * (1.0 + slip) if self.long else price * (1.0 - slip)
        self.status, self.opened, self.fill, self.held, self.last_paid = "OPEN", ts, price, 1.0, ts
        self.fees += self.costs.crossing if taker else self.costs.resting
        self.kinds.append("FILL")
        if self.at_or_worse(worst, self.stop):
            self.ambiguous = not certain
            if certain or self.conservative:
                self.excursion += [best, worst]
                gapped = self.at_or_worse(open_, self.stop)
                self.leave(ts, open_ if gapped else self.stop, "SL", taker=True)

    def hold(self, ts: int, open_: float, best: float, worst: float) -> None:
        plan = self.plan
        for mark, rate in self.marks:
            if self.last_paid < mark <= ts:
                self.funding += (1 if self.long else -1) * self.held * rate
                self.last_paid = mark
                self.kinds.append("FUNDING")
        if plan.hold and ts >= self.opened + plan.hold:
            self.excursion.append(open_)
            return self.leave(ts, open_, "TIMEOUT", taker=True)
        if any(self.opened < at <= ts for at in plan.exit_at):
            self.excursion.append(open_)
            return self.leave(ts, open_, "POLICY", taker=True)
        self.move_stop()
        target = plan.targets[self.done_targets] if self.done_targets < len(plan.targets) else None
        stopped = "SL" if self.done_targets == 0 else "TP1_TRAIL"
        if self.at_or_worse(open_, self.stop):
            self.excursion.append(open_)
            return self.leave(ts, open_, stopped, taker=True)
        self.excursion += [best, worst]
        self.seen_highs.append(best)
        if target and self.at_or_better(open_, target[0]):
            return self.take(ts, *target)
        hit_stop = self.at_or_worse(worst, self.stop)
        hit_target = target is not None and self.at_or_better(best, target[0])
        if hit_stop and hit_target:
            self.ambiguous = True
        if hit_stop and (self.conservative or not hit_target):
            return self.leave(ts, self.stop, stopped, taker=True)
        if target and hit_target:
            return self.take(ts, *target)
        return None

    def move_stop(self) -> None:
        plan = self.plan
        if plan.trail == "none" or self.done_targets <= plan.trail_after:
            return
        if self.long:
            top = max([self.fill, *self.seen_highs])
            moved = top - plan.trail_mult * plan.atr if plan.trail == "atr" else top * (1 - plan.trail_mult / 100)
            self.stop = max(self.stop, moved)
        else:
            bottom = min([self.fill, *self.seen_highs])
            moved = bottom + plan.trail_mult * plan.atr if plan.trail == "atr" else bottom * (1 + plan.trail_mult / 100)
            self.stop = min(self.stop, moved)

    def take(self, ts: int, price: float, fraction: float) -> None:
        index, self.done_targets = self.done_targets, self.done_targets + 1
        if index == len(self.plan.targets) - 1:
            return self.leave(ts, price, "TP", taker=False)
        self.book(price, fraction, taker=False)
        self.kinds.append("TARGET")
        if index == self.plan.be_after:
            self.stop = max(self.stop, self.fill) if self.long else min(self.stop, self.fill)
        return None

    def book(self, price: float, fraction: float, *, taker: bool) -> None:
        slip = self.costs.slippage_pct / 100.0
        if taker:
            price = price * (1.0 - slip) if self.long else price * (1.0 + slip)
        self.fees += (self.costs.crossing if taker else self.costs.resting) * fraction * price / self.fill
        self.legs.append((fraction, price))
        self.held -= fraction

    def leave(self, ts: int, price: float, reason: str, *, taker: bool) -> None:
        self.book(price, self.held, taker=taker)
        self.end("CLOSED", reason, ts)

    def end(self, status: str, reason: str, ts: int) -> None:
        self.status, self.reason, self.closed = status, reason, ts
        self.kinds.append(reason)

    def result(self) -> dict[str, Any]:
        def gain(price: float) -> float:
            return 100.0 * (price - self.fill if self.long else self.fill - price) / self.fill

        gross = sum(part * gain(price) for part, price in self.legs)
        moves = [gain(price) for price in self.excursion]
        pnl = gross - self.fees - self.funding
        planned = 100.0 * abs(self.plan.entry - self.plan.sl) / self.plan.entry
        known = {"EXPIRED": self.closed}.get(self.status, self.closed + MINUTE if self.closed else 0)
        mean = sum(part * price for part, price in self.legs) if self.status == "CLOSED" else float("nan")
        return {
            "status": self.status,
            "exit_reason": self.reason,
            "opened_ms": self.opened,
            "closed_ms": self.closed,
            "known_ms": known,
            "ambiguous": int(self.ambiguous),
            "tp1_hit": int(self.done_targets > 0),
            "fill_price": self.fill,
            "exit_price": mean,
            "gross_pct": gross,
            "fees_pct": self.fees,
            "funding_pct": self.funding,
            "pnl_pct": pnl,
            "r_multiple": pnl / planned,
            "mfe_pct": max([0.0, *moves]),
            "mae_pct": min([0.0, *moves]),
            "remaining": self.held if self.status == "OPEN" else 0.0,
            "n_events": len(self.kinds),
        }
