"""What happens to the run of a seed: every kind of fault for some, one kind alone for others."""

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """What a run is like, and what happens to it. Counts are of events within the first ``fire_s`` seconds."""

    reads: int = 30
    analyzers: int = 2
    reads_per_request: int = 3
    in_flight: int = 3
    capacity: int = 8
    fire_s: float = 12.0
    kills: int = 0
    victims: tuple[str, ...] = ("",)  # how their names begin
    pauses: int = 0
    outages: int = 0
    driver_deaths: int = 0
    jumps: int = 0  # of the wall clock
    closings: int = 0  # of the provider, with 429 and retry-after
    slow: float = 0.0  # share of messages that take up to 3 s
    dropped: float = 0.0  # share of calls that never arrive
    unanswered: float = 0.0  # share of calls whose reply is lost
    doubled: float = 0.0  # share of calls that are carried out twice
    lost_commits: float = 0.0
    refused: float = 0.0
    failing: float = 0.0
    losing: float = 0.0
    poor: float = 0.2  # share of reads about which only a repair gets an answer
    rpm: int | None = None
    tpm: int | None = None
    max_cost_usd: float = 10.0
    wordy: bool = False  # answers are as long as they may be
    calm: bool = False  # nothing dies, and no message is slow: a limit that the provider names is known at once


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
