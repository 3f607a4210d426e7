"""From trades to statistics: what happened, how sure that is, and how many trades it rests on.

The law: pure functions over frames; every rate carries its count and its interval, and below a stated
number of trades it is shown as not enough data instead of as a figure.
"""
