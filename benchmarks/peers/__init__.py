"""Other programs on the same candles: each in an environment of its own, on a rule written here for it.

The law: a script is started by its peer's own Python, uses that peer's public interface as its manual shows it, and
imports nothing of ours. Rule: go long where EMA 20 crosses above EMA 100 while RSI 14 is above 50; stop 1 %, target
3 %; a fee of 0.06 % a fill.
"""
