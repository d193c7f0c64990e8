"""The dollar cap of a whole run: report, ledger and the emulator's bill agree. What deaths cost: test_actors_killed.py."""

from decimal import Decimal

from fix_run import StartRun


def test_without_deaths_report_and_bill_agree_and_the_run_stops_at_its_cap(start_run: StartRun) -> None:
    run = start_run(
        "source.count=5000",
        "throttle.max_cost_usd=0.02",
        "ray.dashboard=false",
        "analyzer.requests_in_flight=32",
        "analyzer.workers=2",
        args=["--hold"],
    )
    report = run.wait_for_report()
    charged = run.bill_usd()
    run.wait_for_output("Held:")
    run.interrupt()
    code, _ = run.finish()
    assert code == 3, run.output
    assert report["status"] == "limited"
    assert report["possibly_billed"] == 0
    assert round(Decimal(str(report["cost_usd"])) - charged, 9) == 0
    assert Decimal("0.0185") < charged <= Decimal("0.02"), "within the worst case of one request"
    assert (report["lost"], report["duplicates"]) == (0, 0)
