"""Speed, measured: `python -m benchmarks` against plain Python, `python -m benchmarks.peers` against other programs.

The law: both sides of a comparison do the same work on the same candles, take turns in one run, and the
median counts. A side that uses another SQLite library than ours lives in a process of its own.
"""
