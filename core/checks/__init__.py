"""Proofs that anybody can run: nothing looks ahead, warm-ups suffice, what was decided live can be recomputed.

The law: a check changes nothing, and names what differs, where, and both values.
"""
