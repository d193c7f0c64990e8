"""When a request may be sent: limits, budget and permits, as plain values and decisions.

`governor.Governor` is the whole policy; `actors/throttle.py` hosts it.
"""
