"""Is the cap hard? Many runs at 64 in flight, each with deaths of the throttle, of analyzers and of the whole run at random moments.

    python benchmarks/check_budget.py [RUNS]

Without Ray: the throttle's governor, the ledger's fake and a provider that bills, on a clock of their own (see
`support.money_world`). Prints the provider's bill beside the ledger's sum, which is the report's cost. Exit code 1 when
any run was billed above its cap, or more than the ledger says.
"""

from __future__ import annotations

import asyncio
import sys
from decimal import Decimal

from support.money_world import LARGEST, Bill, Deaths, MoneyWorld

CAP = Decimal("0.2")
KINDS = {
    "no deaths": Deaths(),
    "throttle": Deaths(throttle=0.02),
    "analyzers": Deaths(analyzer=0.2),
    "kill and resume": Deaths(run=0.1),
    "everybody": Deaths(throttle=0.02, analyzer=0.2, run=0.1),
}


def check(kind: str, runs: int) -> bool:
    bills = [asyncio.run(MoneyWorld(seed, CAP, KINDS[kind]).run()) for seed in range(runs)]
    over = [bill for bill in bills if max(bill.provider_usd, bill.highest_usd) > CAP or bill.provider_usd > bill.ledger_usd]
    deaths = sum(bill.throttle_deaths + bill.analyzer_deaths + bill.resumes for bill in bills)
    print(
        f"{kind:16} {runs:4} runs {deaths:5} deaths {sum(bill.requests for bill in bills):7,} requests   of the cap: "
        f"billed {_share(bills, 'provider_usd')}  ledger {_share(bills, 'ledger_usd')}  most at risk {_share(bills, 'highest_usd')}   "
        f"stopped within one worst case {sum(CAP - bill.ledger_usd < LARGEST for bill in bills):4}   overspent {len(over)}"
    )
    return not over


def _share(bills: list[Bill], name: str) -> str:
    shares = sorted(float(getattr(bill, name) / CAP) for bill in bills)
    return f"{shares[0]:.3f}..{shares[-1]:.3f}"


def main() -> int:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    kept = [check(kind, runs) for kind in KINDS]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
