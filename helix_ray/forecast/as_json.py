"""A forecast as JSON, and in sentences what its figures rest on."""

from __future__ import annotations

import json
from collections.abc import Iterator

from helix_ray import __version__
from helix_ray.config import Config
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.forecast.aim import Aim, plan
from helix_ray.forecast.estimate import Forecast
from helix_ray.forecast.workload import MAX_COUNTED, Workload
from helix_ray.providers.published_limits import limits_version
from helix_ray.records import left_out

HINDRANCES = ("faults", "script", "outages", "neighbour", "hidden_capacity", "overload_capacity", "flex_capacity", "spend_limit_usd")
"""Keys of the section emulator that make it fail, slow down or share its limits."""


def as_json(config: Config, work: Workload, forecast: Forecast, aim: Aim, made_at: str) -> str:
    """The text of the file. Money in US dollars, times in seconds, tokens as whole numbers; docs/output.md has every key."""
    demand, asking = forecast.demand, config.analyzer
    asks = asking.backend.asks_an_api
    per_million = {part: float(1_000_000 * amount) for part, amount in forecast.tariff.price._asdict().items()}
    report = {
        "kind": "forecast",
        "name": config.run.name,
        "backend": asking.backend.value,
        "provider": config.provider_name,
        "model": asking.model if asks else None,
        "prompt": asking.prompt_name if asks else None,
        "records": {"total": forecast.records, "counted_to_the_end": work.whole, "planned": forecast.planned, "looked_at": work.looked_at},
        "left_out": {"looked_at": work.looked_at, **work.left_out},
        "reads_analysed": round(demand.reads),
        "requests": {"total": round(demand.requests), "reads_each": asking.reads_per_request, "repairs": round(demand.repairs)},
        "tokens": {"expected": _tokens(demand.prompt, demand.completion), "worst": _tokens(demand.worst_prompt, demand.reserved)},
        "cost_usd": {
            "expected": forecast.cost_usd,
            "per_1000_reads": forecast.per_1000_reads_usd,
            "worst": forecast.worst_usd,
            "cap": config.throttle.max_cost_usd,
        },
        "prices": {"source": forecast.tariff.source, "usd_per_million_tokens": per_million} if asks else None,
        "limits_version": published_version(config),
        "services": [
            timing._asdict() | {"limits": [row._asdict() for row in timing.limits], "stops": [stop._asdict() for stop in timing.stops]}
            for timing in forecast.timings
        ],
        "cut_off_share": round(forecast.cut_off_share, 4),
        "notes": list(notes(config, work, forecast)),
        "difference": plan(forecast, aim),
        "made_at": made_at,
        "helix_ray": __version__,
        "resumes": forecast.resumed and forecast.resumed._asdict(),
        "configuration": json.loads(config.to_json()),
    }
    return json.dumps(report, indent=2) + "\n"


def _tokens(prompt: float, completion: float) -> dict[str, int]:
    return {"prompt": round(prompt), "completion": round(completion), "total": round(prompt) + round(completion)}


def published_version(config: Config) -> str | None:
    """The date of Groq's published limits; None where others hold."""
    return limits_version() if config.asks_groq else None


def notes(config: Config, work: Workload, forecast: Forecast) -> Iterator[str]:
    """What the figures rest on, and what they leave out."""
    demand, safety, emulator = forecast.demand, config.throttle.safety_factor, EmulatorConfig()
    if not work.whole:
        yield f"The file holds more than {MAX_COUNTED:,} records; it was counted so far, and the figures are for these."
    if forecast.records is None:
        yield "The source is endless: the figures are for as many reads as throttle.max_cost_usd pays for."
    if work.analysed_share < 1:
        share = f"{1 - work.analysed_share:.1%} of {work.looked_at:,} records looked at"
        yield f"{share} would not be sent: {left_out(work.left_out)}."
    if not config.analyzer.backend.asks_an_api:
        yield "The aligner asks no API: no requests, no tokens, no cost."
        return
    if forecast.cut_off_share > 0:
        yield (
            f"{forecast.cut_off_share:.0%} of the answers are expected not to fit into analyzer.max_completion_tokens "
            f"{config.analyzer.max_completion_tokens}: they are paid for, and asked again once with twice the room. Raise it."
        )
    yield (
        "Prompt tokens: the prompt's own count at the tokeniser's measured tokens per base. Answer tokens: about "
        f"{demand.completion / (demand.requests or 1):.0f} each, by a model of reasoning at effort {config.analyzer.reasoning_effort} "
        "and of the JSON; a live run of some 20 reads shows how far it holds for your model."
    )
    if safety < 1:
        yield f"Every limit of the API is cut to {safety:.0%} (throttle.safety_factor)."
    if any(timing.binding == "this machine" for timing in forecast.timings):
        yield "What this machine carries is a rough figure, from runs on two cores: such a run is as fast as its cores."
    yield "Worst: every answer fills max_completion_tokens and every prompt its bound in bytes, each read asked once."
    yield "Left out: failed and repeated requests, other users of the key, and prompt tokens from the provider's cache (cheaper)."
    yield "Every limit is taken as unused, a day's too: after a run today, the rest of its quota comes back over 24 hours."
    if config.analyzer.backend.simulated:
        if any(getattr(config.emulator, key) != getattr(emulator, key) for key in HINDRANCES):
            yield "The emulator is told to fail, to slow down or to share its limits: what that costs is left out, too."
        yield "The dollars are counted by Groq's prices; the emulator bills nobody."
