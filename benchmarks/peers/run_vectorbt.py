"""vectorbt. Usage: python run_vectorbt.py CANDLES.npz"""

import sys

import numpy as np
import pandas as pd
import vectorbt as vbt

with np.load(sys.argv[1]) as stored:
    names = ("open", "high", "low", "close")
    frame = pd.DataFrame({name: stored[name] for name in names}, index=pd.to_datetime(stored["ts"], unit="ms"))
close = frame["close"]
fast, slow = (vbt.MA.run(close, span, ewm=True) for span in (20, 100))
strength = vbt.RSI.run(close, 14, ewm=True)
entries = fast.ma_crossed_above(slow) & strength.rsi_above(50)
entries = entries.iloc[:, 0] if isinstance(entries, pd.DataFrame) else entries
portfolio = vbt.Portfolio.from_signals(
    close,
    entries,
    exits=pd.Series(False, index=close.index),
    open=frame["open"],
    high=frame["high"],
    low=frame["low"],
    sl_stop=0.01,
    tp_stop=0.03,
    fees=0.0006,
    size=1.0,
    init_cash=1_000_000,
    freq=pd.Timedelta(frame.index[1] - frame.index[0]),
)
print("trades", portfolio.trades.count())
