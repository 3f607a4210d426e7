"""jesse's research interface. Usage: python run_jesse.py MINUTES.npz TIMEFRAME fast|exact"""

import sys

import jesse.indicators as ta
import numpy as np
from jesse import utils
from jesse.research import backtest
from jesse.strategies import Strategy

EXCHANGE, SYMBOL = "Binance Spot", "BTC-USDT"


class Cross(Strategy):
    def before(self) -> None:
        self.vars["above_before"] = self.vars.get("above")
        self.vars["above"] = bool(ta.ema(self.candles, 20) > ta.ema(self.candles, 100))

    def should_long(self) -> bool:
        crossed = self.vars["above"] and self.vars["above_before"] is False
        return crossed and ta.rsi(self.candles, 14) > 50

    def go_long(self) -> None:
        self.buy = utils.size_to_qty(10_000, self.price), self.price

    def on_open_position(self, order: object) -> None:  # noqa: ARG002  jesse calls it so
        self.stop_loss = self.position.qty, self.price * 0.99
        self.take_profit = self.position.qty, self.price * 1.03

    def should_cancel_entry(self) -> bool:
        return True


with np.load(sys.argv[1]) as stored:
    candles = np.column_stack([stored[name] for name in ("ts", "open", "close", "high", "low", "volume")]).astype(float)
config = {
    "starting_balance": 1_000_000,
    "fee": 0.0006,
    "type": "spot",
    "exchange": EXCHANGE,
    "warm_up_candles": 200,
}
timeframe, mode = sys.argv[2:]
warm = 200 * {"1m": 1, "5m": 5}[timeframe]
key = f"{EXCHANGE}-{SYMBOL}"
series = {"exchange": EXCHANGE, "symbol": SYMBOL}
result = backtest(
    config,
    [{"exchange": EXCHANGE, "strategy": Cross, "symbol": SYMBOL, "timeframe": timeframe}],
    [],
    {key: {**series, "candles": candles[warm:]}},
    warmup_candles={key: {**series, "candles": candles[:warm]}},
    fast_mode=mode == "fast",
)
print("trades", result["metrics"].get("total", 0))
