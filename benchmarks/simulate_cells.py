"""How far one root of a rate limit would go if every node leased its permits in chunks: a simulation, in virtual time.

A cell is a node with a queue, producers, analyzers and a sink of its own; only the limit is shared. This is a model of a design that is
not built: today one throttle serves all nodes. A cell could send twice its share. It asks the root for a chunk when half of its last one
is spent, and waits for the round trip. A twentieth of the time it stalls for half a second, with its permits unspent. The root refills
continuously and holds at most a tenth of a second's permits.

python benchmarks/simulate_cells.py
"""

from __future__ import annotations

import random
import sys
from collections import deque
from dataclasses import dataclass

STEP_S, ROUND_TRIP_S, SECONDS, ROOT_HOLDS_S = 0.005, 0.01, 60.0, 0.1
STALLED, STALL_S = 0.05, 0.5
CASES = ((1_000, 8, 0.25), (10_000, 64, 1.0), (100_000, 512, 1.0))
"""Requests a second, cells, and how many seconds of its share a cell leases at once."""


@dataclass(slots=True)
class Cell:
    permits: float = 0.0
    asked_at: float | None = None
    able: float = 0.0  # requests that it could send in a step
    stalls_until: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    utilisation: float
    calls_per_s: float
    worst_second: float  # requests in the worst second, of the limit


def simulate(limit_per_s: float, cells: int, chunk_s: float, rng: random.Random) -> Outcome:
    """The first second fills the cells and is left out."""
    chunk = limit_per_s / cells * chunk_s
    crew = [Cell(able=2 * limit_per_s / cells * STEP_S * rng.uniform(0.5, 1.5)) for _ in range(cells)]
    credit, calls, sent, waiting = 0.0, 0, [0.0] * round((SECONDS + 1) / STEP_S), deque[Cell]()
    for step in range(len(sent)):
        now = step * STEP_S
        credit = min(credit + limit_per_s * STEP_S, max(limit_per_s * ROOT_HOLDS_S, chunk))
        for cell in crew:
            if cell.permits <= chunk / 2 and cell.asked_at is None:
                cell.asked_at = now
                waiting.append(cell)
                calls += now >= 1.0
        while waiting and credit >= chunk and now - (waiting[0].asked_at or 0.0) >= ROUND_TRIP_S:
            cell = waiting.popleft()
            cell.permits, cell.asked_at, credit = cell.permits + chunk, None, credit - chunk
        for cell in crew:
            if now < cell.stalls_until:
                continue
            if rng.random() < STALLED * STEP_S / STALL_S:
                cell.stalls_until = now + STALL_S
            spent = min(cell.permits, cell.able)
            cell.permits -= spent
            sent[step] += spent
    measured, second = sent[round(1 / STEP_S) :], round(1 / STEP_S)
    worst = max(sum(measured[start : start + second]) for start in range(0, len(measured) - second, second // 10))
    return Outcome(sum(measured) / (limit_per_s * SECONDS), calls / SECONDS, worst / limit_per_s)


def main() -> None:
    print("requests/s   cells   chunk   utilisation   calls/s at the root   worst second, of the limit")
    for limit_per_s, cells, chunk_s in CASES:
        outcome = simulate(limit_per_s, cells, chunk_s, random.Random(1))
        figures = f"{outcome.utilisation:11.3f}   {outcome.calls_per_s:19.0f}   {outcome.worst_second:26.2f}"
        print(f"{limit_per_s:10,}   {cells:5}   {chunk_s:4.2f} s   {figures}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
