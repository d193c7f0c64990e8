"""What happens to the run of a seed: every kind of fault for some, one kind alone for others."""

import random

from simulation.world import Plan


def plan_of(seed: int) -> Plan:
    rng = random.Random(f"plan {seed}")

    def some(most: float, share: float = 0.5) -> float:
        return rng.uniform(0.0, most) if rng.random() < share else 0.0

    def few(most: int, share: float = 0.5) -> int:
        return rng.randint(1, most) if rng.random() < share else 0

    shape = {
        "reads": rng.randint(12, 40),
        "analyzers": rng.randint(1, 3),
        "reads_per_request": rng.choice((1, 2, 3, 5)),
        "in_flight": rng.randint(1, 4),
        "capacity": rng.randint(4, 12),
    }
    if seed % 10 == 9:  # limits, met by nobody, and a provider that closes for a while
        limits = {"rpm": rng.choice((30, 60)), "tpm": rng.choice((None, 12_000))}
        closed = {"closings": 1} if seed % 20 == 19 else limits
        return Plan(**shape, **closed, calm=True)  # type: ignore[arg-type]
    if seed % 10 == 8:  # a budget that is used up again and again
        return Plan(**shape, max_cost_usd=rng.uniform(0.0008, 0.003), kills=few(3), failing=some(0.1), losing=some(0.1))  # type: ignore[arg-type]
    return Plan(
        **shape,  # type: ignore[arg-type]
        kills=few(8),
        pauses=few(3, 0.3),
        outages=few(3),
        driver_deaths=few(2, 0.3),
        jumps=few(2, 0.3),
        slow=some(0.05),
        dropped=some(0.05),
        unanswered=some(0.05),
        doubled=some(0.2),
        lost_commits=some(0.2),
        refused=some(0.1),
        failing=some(0.1),
        losing=some(0.1),
    )
