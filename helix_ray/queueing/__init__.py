"""The queue's policy: which reads are admitted, leased, redelivered and done. Pure; the actor is its shell."""
