"""nautilus_trader. Usage: python run_nautilus_trader.py CANDLES.npz MINUTES-A-BAR"""

import sys
from decimal import Decimal

import numpy as np
import pandas as pd
from nautilus_trader.backtest.engine import BacktestEngine, BacktestEngineConfig
from nautilus_trader.config import LoggingConfig
from nautilus_trader.indicators import ExponentialMovingAverage, RelativeStrengthIndex
from nautilus_trader.model.currencies import BTC, USDT
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.enums import AccountType, OmsType, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, Symbol, Venue
from nautilus_trader.model.instruments import CurrencyPair
from nautilus_trader.model.objects import Money, Price, Quantity
from nautilus_trader.persistence.wranglers import BarDataWrangler
from nautilus_trader.trading.strategy import Strategy

VENUE = Venue("LOCAL")


def pair() -> CurrencyPair:
    return CurrencyPair(
        instrument_id=InstrumentId(Symbol("BTCUSDT"), VENUE),
        raw_symbol=Symbol("BTCUSDT"),
        base_currency=BTC,
        quote_currency=USDT,
        price_precision=2,
        size_precision=6,
        price_increment=Price.from_str("0.01"),
        size_increment=Quantity.from_str("0.000001"),
        ts_event=0,
        ts_init=0,
        maker_fee=Decimal("0.0006"),
        taker_fee=Decimal("0.0006"),
        margin_init=Decimal("0.1"),
        margin_maint=Decimal("0.05"),
    )


class Cross(Strategy):
    def __init__(self, instrument: CurrencyPair, bars: BarType) -> None:
        super().__init__()
        self.instrument, self.bars, self.above = instrument, bars, None
        self.fast, self.slow = ExponentialMovingAverage(20), ExponentialMovingAverage(100)
        self.strength = RelativeStrengthIndex(14)

    def on_start(self) -> None:
        for indicator in (self.fast, self.slow, self.strength):
            self.register_indicator_for_bars(self.bars, indicator)
        self.subscribe_bars(self.bars)

    def on_bar(self, bar: Bar) -> None:
        if not self.indicators_initialized():
            return
        before, self.above = self.above, self.fast.value > self.slow.value
        crossed = self.above and before is False
        if crossed and self.strength.value > 0.5 and self.portfolio.is_flat(self.instrument.id):
            close = bar.close.as_double()
            orders = self.order_factory.bracket(
                self.instrument.id,
                OrderSide.BUY,
                self.instrument.make_qty(10_000 / close),
                sl_trigger_price=self.instrument.make_price(close * 0.99),
                tp_price=self.instrument.make_price(close * 1.03),
            )
            self.submit_order_list(orders)


def main(path: str, minutes: str) -> None:
    instrument = pair()
    bars = BarType.from_str(f"{instrument.id}-{minutes}-MINUTE-LAST-EXTERNAL")
    with np.load(path) as stored:
        index = pd.to_datetime(stored["ts"] + int(minutes) * 60_000, unit="ms", utc=True)  # a bar is known at its end
        frame = pd.DataFrame({name: stored[name] for name in ("open", "high", "low", "close", "volume")}, index=index)
    engine = BacktestEngine(BacktestEngineConfig(logging=LoggingConfig(log_level="ERROR")))
    engine.add_venue(VENUE, OmsType.NETTING, AccountType.MARGIN, [Money(1_000_000, USDT)], base_currency=USDT)
    engine.add_instrument(instrument)
    engine.add_data(BarDataWrangler(bars, instrument).process(frame))
    engine.add_strategy(Cross(instrument, bars))
    engine.run()
    print("trades", len(engine.cache.positions()) + len(engine.cache.position_snapshots()))
    engine.dispose()


main(*sys.argv[1:])
