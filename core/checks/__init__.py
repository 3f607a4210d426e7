"""Checks that anybody can run: for look-ahead, for short warm-ups, and that live decisions can be made again.

The law: a check changes nothing, and names what differs, where, and both values.
"""
