"""``--dry-run``: the forecast of a configuration, from what is on this machine. No key, no database, no Ray, no network."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

from rich.console import Console

from helix_ray import __version__
from helix_ray.cli.forecast_view import as_json, render
from helix_ray.clock import SystemClock
from helix_ray.config import Backend, Config, SourceKind
from helix_ray.emulator.published import MODELS, limits_of
from helix_ray.errors import ConfigError
from helix_ray.forecast.estimate import Forecast, Service, foresee
from helix_ray.forecast.workload import Workload, survey
from helix_ray.providers.prices import ModelPrice, Tariff, tariff_of
from helix_ray.providers.published_limits import PLANS, Plan, completion_tokens_per_s, flex_limits, published_limits
from helix_ray.providers.readings import LIMIT_KINDS
from helix_ray.session.provider_check import check_completion

NO_PRICE = Tariff(ModelPrice(Decimal(0), Decimal(0), Decimal(0)), None, "no API is asked")


def dry_run(
    config: Config, report: Path | None, console: Console, *, done: int = 0, spent_usd: float = 0.0, run_id: str | None = None
) -> None:
    """Prints the forecast and, as JSON, writes it to ``report``. ``done``, ``spent_usd``: of the run that would be resumed."""
    tariff = tariff_to_expect(config)
    work = _survey(config, console)
    forecast = forecast_of(config, work, tariff, done=done, spent_usd=spent_usd)
    told = as_json(config, work, forecast) | {
        "made_at": SystemClock().now().isoformat(timespec="seconds"),
        "helix_ray": __version__,
        "resumes": None if run_id is None else {"run_id": run_id, "reads_done": done, "cost_usd": round(spent_usd, 6)},
        "configuration": json.loads(config.to_json()),
    }
    if report is not None:
        report.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    console.print(render(told))
    if report is not None:
        console.print(f"Written to {report}.", markup=False, highlight=False, soft_wrap=True)


def forecast_of(config: Config, work: Workload, tariff: Tariff, *, done: int = 0, spent_usd: float = 0.0) -> Forecast:
    return foresee(config, work, tariff, services_of(config), os.cpu_count() or 1, done=done, spent_usd=spent_usd)


def tariff_to_expect(config: Config) -> Tariff:
    """By the table in the package. ConfigError: as for a run."""
    if config.analyzer.backend is Backend.ALIGNER:
        return NO_PRICE
    tariff = tariff_of(config.analyzer.model)
    check_completion(config, tariff)
    return tariff


def services_of(config: Config) -> list[Service]:
    """Who may answer: the emulator as configured, or Groq under each of its plans; nobody for the aligner."""
    match config.analyzer.backend:
        case Backend.ALIGNER:
            return []
        case Backend.EMULATOR:
            return [_emulator(config)]
        case Backend.GROQ if config.analyzer.base_url is not None:
            speed = completion_tokens_per_s(config.analyzer.model)
            return [Service(config.analyzer.base_url, ({},) * len(_tiers(config)), LIMIT_KINDS, speed)]
        case Backend.GROQ:
            services = [_groq(config, plan) for plan in PLANS]
            return [service for service in services if service is not None]


def _tiers(config: Config) -> tuple[str, ...]:
    tier = config.analyzer.service_tier
    return ("on_demand", "flex") if tier == "auto" else (tier,)


def _emulator(config: Config) -> Service:
    model = MODELS.get(config.analyzer.model)
    if model is None:
        raise ConfigError("analyzer.model", [f"the emulator does not serve '{config.analyzer.model}'; it serves {', '.join(MODELS)}"])
    tiers = ("on_demand",) if config.emulator.tier == "free" else _tiers(config)
    if config.emulator.tier == "free" and config.analyzer.service_tier == "flex":
        raise ConfigError("analyzer.service_tier", ["the free tier of the emulator has no flex; use on_demand, or emulator.tier developer"])
    lanes = [{limit.kind: float(limit.amount) for limit in limits_of(config.emulator, model, tier) if limit.enforced} for tier in tiers]
    settings = config.emulator
    return Service(
        f"emulator, {settings.tier}",
        tuple(lanes),
        (),
        model.completion_tokens_per_s,
        settings.latency_scale,
        settings.latency_scale * settings.round_trip_s,
        settings.refund,
    )


def _groq(config: Config, plan: Plan) -> Service | None:
    """None: the plan does not have the service tier that is asked for."""
    model = config.analyzer.model
    published = published_limits(model, plan)
    tiers = _tiers(config) if plan != "free" else tuple(tier for tier in _tiers(config) if tier != "flex")
    lanes = tuple(flex_limits(published) if tier == "flex" else published for tier in tiers)
    unpublished = tuple(kind for kind in LIMIT_KINDS if kind not in published)
    return Service(f"Groq, {plan} plan", lanes, unpublished, completion_tokens_per_s(model)) if lanes else None


def _survey(config: Config, console: Console) -> Workload:
    if config.source.kind is SourceKind.SYNTHETIC or not console.is_terminal:
        return survey(config)
    with console.status("Counting records ...") as status:
        return survey(config, lambda records: status.update(f"Counting records: {records:,} ..."))
