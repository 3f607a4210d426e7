"""freqtrade's own command line, offline: the exchange's list of markets is two pairs made up here.

Usage: python run_freqtrade.py prepare FOLDER BASE:MINUTES.npz:FIVE.npz ..., then python run_freqtrade.py ARGUMENTS
"""

import json
import sys
from pathlib import Path

BASES = ("BTC", "ETH")
STRATEGY = """
import talib.abstract as ta
from freqtrade.strategy import IStrategy
from pandas import DataFrame


class Cross(IStrategy):
    INTERFACE_VERSION = 3
    minimal_roi = {"0": 0.03}
    stoploss = -0.01
    startup_candle_count = 200
    can_short = False

    def populate_indicators(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        dataframe["fast"] = ta.EMA(dataframe, timeperiod=20)
        dataframe["slow"] = ta.EMA(dataframe, timeperiod=100)
        dataframe["rsi"] = ta.RSI(dataframe, timeperiod=14)
        return dataframe

    def populate_entry_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        above = dataframe["fast"] > dataframe["slow"]
        crossed = above & ~above.shift(1, fill_value=True)
        dataframe.loc[crossed & (dataframe["rsi"] > 50) & (dataframe["volume"] > 0), "enter_long"] = 1
        return dataframe

    def populate_exit_trend(self, dataframe: DataFrame, metadata: dict) -> DataFrame:
        return dataframe
"""


def prepare(folder: Path, series: list[str]) -> None:
    """Write configuration, strategy and candles in freqtrade's own format."""
    import numpy as np
    import pandas as pd

    data = folder / "data" / "binance"
    for path in (data, folder / "strategies"):
        path.mkdir(parents=True, exist_ok=True)
    config = {
        "dry_run": True,
        "dry_run_wallet": 1_000_000,
        "stake_currency": "USDT",
        "stake_amount": 10_000,
        "max_open_trades": len(BASES),
        "trading_mode": "spot",
        "dataformat_ohlcv": "feather",
        "exchange": {"name": "binance", "key": "", "secret": "", "pair_whitelist": ["BTC/USDT"]},
        "pairlists": [{"method": "StaticPairList"}],
        "entry_pricing": {"price_side": "same", "use_order_book": False},
        "exit_pricing": {"price_side": "same", "use_order_book": False},
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "strategies" / "cross.py").write_text(STRATEGY, encoding="utf-8")
    for base, *paths in (one.split(":") for one in series):
        for timeframe, path in zip(("1m", "5m"), paths, strict=True):
            with np.load(path) as stored:
                frame = pd.DataFrame({"date": pd.to_datetime(stored["ts"], unit="ms", utc=True)})
                for name in ("open", "high", "low", "close", "volume"):
                    frame[name] = stored[name]
            frame.to_feather(data / f"{base}_USDT-{timeframe}.feather")


def market_of(base: str) -> dict[str, object]:
    """Describe a spot market as ccxt would."""
    return {
        **dict.fromkeys(("base", "baseId"), base),
        **dict.fromkeys(("quote", "quoteId"), "USDT"),
        **dict.fromkeys(("margin", "swap", "future", "option", "contract"), False),
        **dict.fromkeys(("spot", "active", "percentage"), True),
        **dict.fromkeys(("taker", "maker"), 0.0006),
        "id": f"{base}USDT",
        "symbol": f"{base}/USDT",
        "type": "spot",
        "precision": {"amount": 1e-05, "price": 0.01},
        "limits": {
            "amount": {"min": 1e-05, "max": 9_000.0},
            "price": {"min": 0.01, "max": 1e6},
            "cost": {"min": 5.0, "max": 9e6},
            "leverage": {"min": None, "max": None},
            "market": {"min": None, "max": None},
        },
        "info": {"status": "TRADING"},
    }


def stay_offline() -> None:
    """Let ccxt's exchanges know the markets without asking anybody."""
    import ccxt
    import ccxt.async_support

    def load(exchange: ccxt.Exchange) -> dict:
        exchange.set_markets([market_of(base) for base in BASES])
        return exchange.markets

    async def load_later(exchange: ccxt.async_support.Exchange, *_: object, **__: object) -> dict:
        return load(exchange)

    ccxt.Exchange.load_markets = lambda exchange, *_, **__: load(exchange)
    ccxt.async_support.Exchange.load_markets = load_later


if sys.argv[1] == "prepare":
    prepare(Path(sys.argv[2]), sys.argv[3:])
else:
    stay_offline()
    from freqtrade.main import main

    main(sys.argv[1:])
