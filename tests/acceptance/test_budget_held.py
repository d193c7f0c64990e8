"""The dollar cap of a whole run: report, ledger and the emulator's bill agree, whoever dies on the way."""

import json
import urllib.request
from decimal import Decimal
from typing import Any

from fix_run import Run, StartRun

CAPPED = ("source.count=5000", "throttle.max_cost_usd=0.05", "ray.dashboard=false", "analyzer.requests_in_flight=32", "analyzer.workers=2")


def bill(run: Run) -> dict[str, Any]:
    """What the emulator of a held run charged."""
    url = json.loads((run.home / "run.json").read_text())["emulator_url"]
    with urllib.request.urlopen(f"{url}/_ctl/summary", timeout=10) as reply:
        return dict(json.loads(reply.read()))


def test_without_deaths_report_and_bill_agree_and_the_run_stops_at_its_cap(start_run: StartRun) -> None:
    run = start_run(*CAPPED, args=["--hold"])
    report = run.wait_for_report()
    charged = Decimal(str(bill(run)["bill_usd"]))
    run.wait_for_output("Held:")
    run.interrupt()
    code, _ = run.finish()
    assert code == 3, run.output
    assert report["status"] == "limited"
    assert report["possibly_billed"] == 0
    assert round(Decimal(str(report["cost_usd"])) - charged, 9) == 0
    assert Decimal("0.0485") < charged <= Decimal("0.05"), "within the worst case of one request"
    assert (report["lost"], report["duplicates"]) == (0, 0)


def test_a_killed_throttle_and_a_killed_sink_cost_no_money(start_run: StartRun) -> None:
    run = start_run(
        "source.count=600",
        "throttle.max_cost_usd=0.2",
        *CAPPED[2:],
        "emulator.requests_per_minute=450",  # so that the last 150 take 20 s
        "emulator.latency_scale=0.2",
        args=["--hold"],
    )
    run.wait_for_stored_reads(100)
    run.kill_one("ThrottleActor")
    run.kill_one("SinkActor")
    report = run.wait_for_report()
    charged = Decimal(str(bill(run)["bill_usd"]))
    run.wait_for_output("Held:")
    run.interrupt()
    code, _ = run.finish()
    assert code == 0, run.output
    assert charged <= Decimal(str(report["cost_usd"])) + Decimal("1e-9")
    assert Decimal(str(report["cost_usd"])) <= Decimal("0.2")
    assert (report["lost"], report["duplicates"]) == (0, 0)
