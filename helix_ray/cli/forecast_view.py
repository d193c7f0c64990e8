"""A forecast as JSON, and as the tables that a budget request needs."""

from __future__ import annotations

from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from helix_ray.config import Backend, Config
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.forecast.estimate import Demand, Forecast, Row, Timing
from helix_ray.forecast.workload import MAX_COUNTED, Workload
from helix_ray.providers.published_limits import limits_version
from helix_ray.records import JsonObject

UNITS: Final = {
    "RPM": "requests a minute",
    "RPD": "requests a day",
    "TPM": "tokens a minute",
    "TPD": "tokens a day",
    "ITPM": "prompt tokens a minute",
    "OTPM": "answer tokens a minute",
    "requests in flight": "requests in flight",
    "this machine": "requests/s",
    "source.rate_per_s": "reads a second",
}
SHORT: Final = {
    "RPM": "requests/min",
    "RPD": "requests/day",
    "TPM": "tokens/min",
    "TPD": "tokens/day",
    "ITPM": "tokens in/min",
    "OTPM": "tokens out/min",
    "this machine": "per s",
}
NONE_SAID: Final = {"none": "no limit", "not published": "unknown"}
YEAR_S: Final = 365.25 * 86_400


def as_json(config: Config, work: Workload, forecast: Forecast) -> JsonObject:
    """Money in US dollars, times in seconds, tokens as whole numbers."""
    demand = forecast.demand
    cap = config.throttle.max_cost_usd
    price = forecast.tariff.price
    asks = config.analyzer.backend is not Backend.ALIGNER
    return {
        "kind": "forecast",
        "name": config.run.name,
        "backend": config.analyzer.backend.value,
        "model": config.analyzer.model if asks else None,
        "prompt": config.analyzer.prompt if asks else None,
        "records": {"total": forecast.records, "counted_to_the_end": work.whole, "planned": forecast.planned, "looked_at": work.looked_at},
        "reads_analysed": round(demand.reads),
        "requests": {"total": round(demand.requests), "reads_each": config.analyzer.reads_per_request, "repairs": round(demand.repairs)},
        "tokens": _tokens(demand),
        "cost_usd": {
            "expected": round(forecast.cost_usd, 6),
            "per_1000_reads": round(1000 * forecast.cost_usd / demand.reads, 6) if demand.reads else None,
            "worst": round(forecast.worst_usd, 6),
            "cap": cap,
        },
        "prices": None
        if not asks
        else {
            "source": forecast.tariff.source,
            "usd_per_million_tokens": {part: float(1_000_000 * amount) for part, amount in price._asdict().items()},
        },
        "limits_version": limits_version() if config.analyzer.backend is Backend.GROQ and config.analyzer.base_url is None else None,
        "services": [_service(timing) for timing in forecast.timings],
        "cut_off_share": round(forecast.cut_off_share, 4),
        "notes": notes(config, work, forecast),
    }


def _tokens(demand: Demand) -> JsonObject:
    prompt, completion = round(demand.prompt), round(demand.completion)
    worst_prompt, worst_completion = round(demand.worst_prompt), round(demand.reserved)
    return {
        "expected": {"prompt": prompt, "completion": completion, "total": prompt + completion},
        "worst": {"prompt": worst_prompt, "completion": worst_completion, "total": worst_prompt + worst_completion},
    }


def _service(timing: Timing) -> JsonObject:
    return {
        "name": timing.service,
        "seconds": round(timing.seconds, 1),
        "binding": timing.binding,
        "latency_s": round(timing.latency_s, 3),
        "limits": [_row(row) for row in timing.rows],
        "stops": [
            {"by": stop.by, "after_records": stop.records, "cost_usd": round(stop.cost_usd, 6), "seconds": round(stop.seconds, 1)}
            for stop in timing.stops
        ],
    }


def _row(row: Row) -> JsonObject:
    return {
        "name": row.name,
        "limit": row.limit,
        "unit": UNITS[row.name],
        "needs": round(row.needs),
        "seconds": round(row.seconds, 1),
        "said_by": row.said_by,
    }


def notes(config: Config, work: Workload, forecast: Forecast) -> list[str]:
    """What the figures rest on, and what they leave out."""
    said = []
    if not work.whole:
        said.append(f"The file holds more than {MAX_COUNTED:,} records; it was counted so far, and the figures are for these.")
    if forecast.records is None:
        said.append("The source is endless: the figures are for as many reads as throttle.max_cost_usd pays for.")
    if work.analysed_share < 1:
        said.append(
            f"{1 - work.analysed_share:.1%} of {work.looked_at:,} records looked at would not be sent: unplaced, filtered or malformed."
        )
    if config.analyzer.backend is Backend.ALIGNER:
        return [*said, "The aligner asks no API: no requests, no tokens, no cost."]
    if forecast.cut_off_share > 0:
        said.append(
            f"{forecast.cut_off_share:.0%} of the answers are expected not to fit into analyzer.max_completion_tokens "
            f"{config.analyzer.max_completion_tokens}: they are paid for, and asked again once with twice the room. Raise it."
        )
    said.append(
        "Prompt tokens: the prompt's own count at the tokeniser's measured tokens per base. Answer tokens: about "
        f"{_answer(forecast)} each, by a model of reasoning at effort {config.analyzer.reasoning_effort} and of the JSON; a live run of "
        "some 20 reads shows how far it holds for your model."
    )
    if config.throttle.safety_factor < 1:
        said.append(f"Every limit of the API is cut to {config.throttle.safety_factor:.0%} (throttle.safety_factor).")
    if any(timing.binding == "this machine" for timing in forecast.timings):
        said.append("What this machine carries is a rough figure, from runs on two cores: such a run is as fast as its cores.")
    said.append("Worst: every answer fills max_completion_tokens and every prompt its bound in bytes, each read asked once.")
    said.append("Left out: failed and repeated requests, other users of the key, and prompt tokens from the provider's cache (cheaper).")
    said.append("Every limit is taken as unused, a day's too: after a run today, the rest of its quota comes back over 24 hours.")
    if config.analyzer.backend is Backend.EMULATOR:
        if _hindered(config):
            said.append("The emulator is told to fail, to slow down or to share its limits: what that costs is left out, too.")
        said.append("The dollars are counted by Groq's prices; the emulator bills nobody.")
    return said


def _hindered(config: Config) -> bool:
    told, usual = config.emulator, EmulatorConfig()
    keys = ("faults", "script", "outages", "neighbour", "hidden_capacity", "overload_capacity", "flex_capacity", "spend_limit_usd")
    return any(getattr(told, key) != getattr(usual, key) for key in keys)


def _answer(forecast: Forecast) -> str:
    demand = forecast.demand
    return f"{demand.completion / demand.requests:.0f}" if demand.requests else "0"


def render(told: JsonObject) -> RenderableType:
    """The JSON for a terminal."""
    parts: list[RenderableType] = [_work(told)]
    if told["services"]:
        parts.append(_times(told))
        parts += [Text(line) for line in _verdict(told)]
    parts += [Text(f"* {note}", style="dim") for note in told["notes"]]
    return Group(*parts)


def _work(told: JsonObject) -> Table:
    title = f"Forecast of “{told['name']}”: nothing was started, sent or stored"
    table = Table(title=title, title_justify="left", min_width=64)
    table.add_column("")
    table.add_column("expected", justify="right")
    table.add_column("at worst", justify="right")
    records, asks = told["records"], told["model"] is not None
    resumed = told.get("resumes")
    table.add_row("backend, model, prompt", f"{told['backend']}, {told['model']}, {told['prompt']}" if asks else told["backend"], "")
    if resumed is not None:
        table.add_row(f"done by run {resumed['run_id']}", f"{resumed['reads_done']:,} reads, ${resumed['cost_usd']:.6f}", "")
    table.add_row("records" if resumed is None else "records left", f"{records['planned']:,}", "")
    table.add_row("reads to analyse", f"{told['reads_analysed']:,}", "")
    if not asks:
        return table
    requests, expected, worst, cost = told["requests"], told["tokens"]["expected"], told["tokens"]["worst"], told["cost_usd"]
    packed = f" of up to {requests['reads_each']} reads" if requests["reads_each"] > 1 else ""
    table.add_row(f"requests{packed}", f"{requests['total']:,}", "")
    if requests["repairs"]:
        table.add_row("  of them repeated with more room", f"{requests['repairs']:,}", "")
    for kind in ("prompt", "completion"):
        table.add_row(f"{kind} tokens", f"{expected[kind]:,}", f"{worst[kind]:,}")
    table.add_row("cost", _usd(cost["expected"]), _usd(cost["worst"]), style="bold")
    if cost["per_1000_reads"] is not None:
        table.add_row("cost per 1,000 reads", _usd(cost["per_1000_reads"]), "")
    table.add_row("cap (throttle.max_cost_usd)", _usd(cost["cap"]), "")
    prices, source = told["prices"]["usd_per_million_tokens"], told["prices"]["source"]
    table.caption = f"dollars per million tokens: prompt {prices['prompt']:g}, completion {prices['completion']:g} ({source})"
    table.caption_justify = "left"
    return table


def _times(told: JsonObject) -> Table:
    """A row a limit; the services side by side."""
    services = told["services"]
    title = "Time at the limits: what each allows, and how long the run takes at it"
    table = Table(title=title, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("limit", no_wrap=True)
    table.add_column("needs", justify="right", no_wrap=True)
    for service in services:
        table.add_column(service["name"].removeprefix("Groq, ").removesuffix(" plan"), justify="right")
        table.add_column("takes", justify="right", no_wrap=True)
    for rows in zip(*(service["limits"] for service in services), strict=True):
        first = rows[0]
        cells = [cell for service, row in zip(services, rows, strict=True) for cell in _cells(service, row)]
        unit = SHORT.get(first["name"])
        table.add_row(f"{first['name']}, {unit}" if unit else first["name"], f"{first['needs']:,}", *cells)
    whole = [cell for service in services for cell in ("", spelled(service["seconds"]))]
    table.add_section()
    table.add_row("the whole run", "", *whole, style="bold")
    table.caption = "◄ binds   * set in the configuration"
    if told["limits_version"] is not None:
        table.caption = f"limits as Groq published them on {told['limits_version']}, per organisation and model\n{table.caption}"
    return table


def _cells(service: JsonObject, row: JsonObject) -> tuple[Any, Any]:
    binds = service["binding"] == row["name"]
    style = "bold" if binds else ""
    if row["limit"] is None:
        return Text(NONE_SAID[row["said_by"]], style="dim"), Text("-", style="dim")
    mark = "*" if row["said_by"] == "configuration" else ""
    took = spelled(row["seconds"]) if row["seconds"] > 0 else "at once"
    return Text(f"{row['limit']:,.10g}{mark}", style=style), Text(f"{took}{' ◄' if binds else ''}", style=style)


def _verdict(told: JsonObject) -> list[str]:
    """In sentences: how long, by which limit, and what stops it before its end."""
    said = []
    cost, planned = told["cost_usd"], told["records"]["planned"]
    spent = 0.0 if told.get("resumes") is None else told["resumes"]["cost_usd"]
    if planned == 0 and told["records"]["total"] is not None:
        return ["Nothing is left to do."]
    for service in told["services"]:
        said.append(f"{service['name']}: {spelled(service['seconds'])}, bound by {_binding(service['binding'])}.")
        for number, stop in enumerate(service["stops"]):
            by = ("Resumed without it: " if number else "") + _stopper(stop["by"], cost["cap"])
            after = f"about {stop['after_records']:,} of {planned:,} reads, {spelled(stop['seconds'])} and ${stop['cost_usd']:.4f}"
            if stop["after_records"] == 0 and stop["by"] == "throttle.max_cost_usd":
                after = "no read at all: the worst case of one request does not fit below it"
            said.append(f"  {by} stops it after {after} (exit 3; it can be resumed).")
    stopped = any(stop["by"] == "throttle.max_cost_usd" for service in told["services"] for stop in service["stops"])
    if not stopped and told["records"]["total"] is not None:
        share = (spent + cost["expected"]) / cost["cap"]
        at_worst = "" if spent + cost["worst"] <= cost["cap"] else "; at worst it would stop the run before its end"
        said.append(f"The cap of ${cost['cap']:g} suffices: {share:.0%} of it are expected to be spent{at_worst}.")
    return said


def _binding(name: str) -> str:
    return f"{UNITS[name]} ({name})" if name in UNITS and name.isupper() else name


def _stopper(by: str, cap: float) -> str:
    if by == "throttle.max_cost_usd":
        return f"The cap of ${cap:g} (throttle.max_cost_usd)"
    return f"The daily limit {by} (throttle.on_daily_limit: stop)" if by.isupper() else by


def _usd(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 100 else f"${amount:.4f}"


def spelled(seconds: float) -> str:
    """A duration for people."""
    if seconds < 120:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    if seconds < 2 * 3600:
        return f"{seconds / 60:.1f} min"
    if seconds < 2 * 86_400:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:,.1f} days" if seconds < 2 * YEAR_S else f"{seconds / YEAR_S:,.1f} years"
