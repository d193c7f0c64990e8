"""When a request may be sent: buckets, budget, gate and permits, as plain values and decisions.

Nothing here knows Ray, a socket or the wall clock. `governor.Governor` is the whole policy; `actors/throttle.py` hosts it.
"""
