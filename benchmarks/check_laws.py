"""A thousand servers of every law, drawn at random, against a client that knows their law beforehand. Simulated time.

    PYTHONPATH=tests .venv/bin/python benchmarks/check_laws.py [SERVERS] [--seed FIRST]

Each server is a bucket, a window of the clock or a sliding window; its limit may drift, others may share it, it may be out for a
while, by name or not; it sends Groq's headers, OpenAI's, late, rounded, wrong or none. No limit is configured. Without ``--seed``
the servers are other ones each time. About a tenth of a second a server.
"""

from __future__ import annotations

import argparse
import random
from statistics import median

from support.law_world import DISCOVERY_S, Score, score


def at_95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * (len(values) - 1))]


def explained(each: Score) -> str:
    drawn = each.drawn
    said = f"{drawn.headers} headers, 429s {'named' if drawn.names else 'nameless'}{'' if drawn.waits else ', no retry-after'}"
    other = [f"unused {'returned' if drawn.refunds else 'kept'}"] if drawn.counted == "tokens" else []
    other += [f"limit x {drawn.drift:.2f}"] if drawn.drift != 1 else []
    other += [f"others take {drawn.neighbour:.0%}"] if drawn.neighbour else []
    other += [f"{drawn.outage} outage of {drawn.outage_s:.0f} s"] if drawn.outage else []
    other += [f"{drawn.slots} slots"] if drawn.slots < drawn.in_flight else []
    law = f"{drawn.law}, {drawn.per_minute:.0f} requests a minute by {drawn.counted}"
    cost = f"{each.times_ideal:6.3f} x {each.ideal_s:.0f} s, {each.result.late_refusals:.3f} 429s an answer"
    return f"{cost}, seed {drawn.seed}: {law}; {said}; {', '.join(other)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("servers", metavar="SERVERS", type=int, nargs="?", default=1000)
    parser.add_argument("--seed", metavar="FIRST", type=int, default=None)
    arguments = parser.parse_args()
    first = random.SystemRandom().randrange(10**9) if arguments.seed is None else arguments.seed
    scores = [score(first + number) for number in range(arguments.servers)]
    times, refusals = [each.times_ideal for each in scores], [each.result.late_refusals for each in scores]
    print(f"{len(scores)} servers from seed {first}")
    print(f"x ideal: median {median(times):.3f}, 95th percentile {at_95(times):.3f}")
    print(f"429s an answer after {DISCOVERY_S:.0f} s: median {median(refusals):.3f}, 95th percentile {at_95(refusals):.3f}")
    print(f"lost: {sum(each.lost for each in scores)}")
    for title, key in (("slowest", lambda each: each.times_ideal), ("most refused", lambda each: each.result.late_refusals)):
        print(f"\nthe ten {title}")
        for each in sorted(scores, key=key, reverse=True)[:10]:
            print(explained(each))


if __name__ == "__main__":
    main()
