"""backtesting.py. Usage: python run_backtesting.py CANDLES.npz"""

import sys

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from backtesting.lib import crossover


def ema(values: np.ndarray, span: int) -> pd.Series:
    return pd.Series(values).ewm(span=span, adjust=False).mean()


def rsi(values: np.ndarray, period: int = 14) -> pd.Series:
    move = pd.Series(values).diff()
    up, down = (part.clip(lower=0).ewm(alpha=1 / period, adjust=False).mean() for part in (move, -move))
    return 100 - 100 / (1 + up / down)


class Cross(Strategy):
    def init(self) -> None:
        close = self.data.Close
        self.fast, self.slow = self.I(ema, close, 20), self.I(ema, close, 100)
        self.strength = self.I(rsi, close)

    def next(self) -> None:
        if not self.position and crossover(self.fast, self.slow) and self.strength[-1] > 50:
            price = self.data.Close[-1]
            self.buy(size=0.1, sl=price * 0.99, tp=price * 1.03)


with np.load(sys.argv[1]) as stored:
    names = ("open", "high", "low", "close", "volume")
    frame = pd.DataFrame(
        {name.capitalize(): stored[name] for name in names}, index=pd.to_datetime(stored["ts"], unit="ms")
    )
result = Backtest(frame, Cross, cash=1_000_000, commission=0.0006).run()
print("trades", result["# Trades"])
