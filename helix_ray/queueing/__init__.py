"""The queue's policy: what is admitted, who holds what, what comes back, what is done. Pure; the actor is its shell."""
