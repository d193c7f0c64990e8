"""``--dry-run``: the forecast of a configuration, from what is on this machine. No key, no database, no Ray, no network."""

from __future__ import annotations

import os
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Column, Table
from rich.text import Text

from helix_ray.client.dry_run import spelled
from helix_ray.clock import SystemClock
from helix_ray.config import Backend, Config, SourceKind
from helix_ray.emulator.published import MODELS, limits_of
from helix_ray.errors import ConfigError
from helix_ray.forecast.aim import Aim, told
from helix_ray.forecast.as_json import as_json, notes, published_version
from helix_ray.forecast.estimate import Forecast, LimitRow, Resumed, Service, Timing, estimate
from helix_ray.forecast.workload import Workload, sample_source
from helix_ray.providers.prices import ModelPrice, Tariff, expected_tariff
from helix_ray.providers.published_limits import PLANS, completion_tokens_per_s, flex_limits, published_limits
from helix_ray.session.provider_check import check_completion
from helix_ray.sources import copied

NO_PRICE: Final = Tariff(ModelPrice(Decimal(0), Decimal(0), Decimal(0)), None, "no API is asked")
COST_CAP: Final = "throttle.max_cost_usd"


def dry_run(config: Config, report: Path | None, console: Console, resumed: Resumed | None = None, aim: Aim | None = None) -> None:
    """Prints the forecast and, as JSON, writes it to ``report``. ``resumed``: the run of which the rest is forecast; ``aim``: the
    difference that it should tell.
    """
    aim = aim or Aim()
    tariff = tariff_to_expect(config)
    work = _sampled(config, console)
    forecast = estimate(config, work, tariff, services_of(config), os.cpu_count() or 1, resumed)
    if report is not None:
        made_at = SystemClock().now().isoformat(timespec="seconds")
        report.write_text(as_json(config, work, forecast, aim, made_at), encoding="utf-8")
    parts: list[RenderableType] = [_work(config, forecast)]
    if forecast.timings:
        parts += [_times(config, forecast), *map(Text, _verdict(config, forecast))]
    parts += map(Text, told(forecast, aim))
    console.print(Group(*parts, *(Text(f"* {note}", style="dim") for note in notes(config, work, forecast))))
    if report is not None:
        console.print(f"Written to {report}.", markup=False, highlight=False, soft_wrap=True)


def aim_of(difference: float | None, discordant: float | None, pilot: tuple[str, str] | None, power: float, pairs: int) -> Aim:
    """ConfigError: no share of reads that one run alone has right makes such a difference."""
    if pilot is not None and discordant is not None:
        raise ConfigError("--pilot", ["--discordant says already what the pilot runs would show; give one of the two"])
    if difference is None and (discordant, pilot, power, pairs) != (None, None, 0.8, 1):
        raise ConfigError("--difference", ["say which difference is to be told, for instance --difference 0.01"])
    share = _seen_in(pilot) if pilot is not None else 0.1 if discordant is None else discordant
    if not (0 < (difference or share) <= share <= 1 and 0 < power < 1 and pairs >= 1):
        problem = (
            f"{difference or share:g} of {share:g} discordant reads with power {power:g} and {pairs} pairs: a difference is above 0 and"
        )
        raise ConfigError("--difference", [f"{problem} at most the discordant share, the power between 0 and 1, pairs at least 1"])
    return Aim(difference, share, power, pairs)


def _seen_in(pilot: tuple[str, str]) -> float:
    from helix_ray.cli.compare import loaded  # noqa: PLC0415  (a dry run without a pilot asks no database)
    from helix_ray.results.comparing import compare  # noqa: PLC0415
    from helix_ray.session.database import find_runs  # noqa: PLC0415

    found = compare(loaded(find_runs(pilot, "--pilot")), margin=0.01, common=True)
    split = found["pairs"][0]["discordant"]
    return (split["gained"] + split["lost"]) / found["reads"]


def tariff_to_expect(config: Config) -> Tariff:
    """As configured, or by the table in the package. ConfigError: as for a run."""
    if not config.analyzer.backend.asks_an_api:
        return NO_PRICE
    tariff = expected_tariff(config.analyzer.model, config.provider)
    check_completion(config, tariff)
    return tariff


def services_of(config: Config) -> list[Service]:
    """The APIs that may answer: the emulator as configured, or Groq under each of its plans; none for the aligner."""
    model, tier = config.analyzer.model, config.analyzer.service_tier
    tiers = ("on_demand", "flex") if tier == "auto" else (tier,)
    match config.analyzer.backend:
        case Backend.ALIGNER:
            return []
        case Backend.EMULATOR:
            return [_emulator(config, tiers)]
        case Backend.GROQ if not config.asks_groq:
            return [Service(config.provider_url, ({},) * len(tiers), False, completion_tokens_per_s(model))]
    services = []
    for plan in PLANS:
        published = published_limits(model, plan)
        limits = tuple(flex_limits(published) if tier == "flex" else published for tier in tiers if tier != "flex" or plan != "free")
        if limits:  # else the plan does not have the service tier
            services.append(Service(f"Groq, {plan} plan", limits, False, completion_tokens_per_s(model)))
    return services


def _emulator(config: Config, tiers: tuple[str, ...]) -> Service:
    settings, model = config.emulator, MODELS.get(config.analyzer.model)
    if model is None:
        raise ConfigError("analyzer.model", [f"the emulator does not serve '{config.analyzer.model}'; it serves {', '.join(MODELS)}"])
    if settings.tier == "free":
        tiers = tuple(tier for tier in tiers if tier != "flex")
    if not tiers:
        problem = "the free tier of the emulator has no flex; use on_demand, or emulator.tier developer"
        raise ConfigError("analyzer.service_tier", [problem])
    return Service(
        f"emulator, {settings.tier}",
        tuple({limit.kind: float(limit.amount) for limit in limits_of(settings, model, tier) if limit.enforced} for tier in tiers),
        tokens_per_s=model.completion_tokens_per_s,
        latency_scale=settings.latency_scale,
        round_trip_s=settings.latency_scale * settings.round_trip_s,
        refunds=settings.refund,
    )


def _sampled(config: Config, console: Console) -> Workload:
    with TemporaryDirectory(prefix="helix-") as folder:
        return _looked_at(copied(config, Path(folder)), console)


def _looked_at(config: Config, console: Console) -> Workload:
    if config.source.kind is SourceKind.SYNTHETIC or not console.is_terminal:
        return sample_source(config)
    with console.status("Counting records ...") as status:
        return sample_source(config, lambda records: status.update(f"Counting records: {records:,} ..."))


def _work(config: Config, forecast: Forecast) -> Table:
    title = f"Forecast of “{config.run.name}”: nothing was started, sent or stored"
    figures = (Column("expected", justify="right"), Column("at worst", justify="right"))
    table = Table("", *figures, title=title, title_justify="left", caption_justify="left", min_width=64)
    demand, asking, resumed = forecast.demand, config.analyzer, forecast.resumed
    asks = asking.backend.asks_an_api
    table.add_row("backend, model, prompt", ", ".join([asking.backend, asking.model, asking.prompt_name] if asks else [asking.backend]))
    if resumed is not None:
        table.add_row(f"done by run {resumed.run_id}", f"{resumed.reads_done:,} reads, ${resumed.cost_usd:.6f}")
    table.add_row("records" if resumed is None else "records left", f"{forecast.planned:,}")
    table.add_row("reads to analyse", f"{demand.reads:,.0f}")
    if not asks:
        return table
    packed = f" of up to {asking.reads_per_request} reads" if asking.reads_per_request > 1 else ""
    table.add_row(f"requests{packed}", f"{demand.requests:,.0f}")
    if round(demand.repairs):
        table.add_row("  of them repeated with more room", f"{demand.repairs:,.0f}")
    table.add_row("prompt tokens", f"{demand.prompt:,.0f}", f"{demand.worst_prompt:,.0f}")
    table.add_row("completion tokens", f"{demand.completion:,.0f}", f"{demand.reserved:,.0f}")
    table.add_row("cost", _usd(forecast.cost_usd), _usd(forecast.worst_usd), style="bold")
    if forecast.per_1000_reads_usd is not None:
        table.add_row("cost per 1,000 reads", _usd(forecast.per_1000_reads_usd))
    table.add_row(f"cap ({COST_CAP})", _usd(config.throttle.max_cost_usd))
    table.caption = f"prices: {forecast.tariff.describe()}"
    return table


def _times(config: Config, forecast: Forecast) -> Table:
    """A row a limit; the services side by side."""
    figures = (Column("limit", no_wrap=True), Column("needs", justify="right", no_wrap=True))
    table = Table(*figures, title_justify="left", caption_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.title = "Time at the limits: what each allows, and how long the run takes at it"
    for timing in forecast.timings:
        table.add_column(timing.name.removeprefix("Groq, ").removesuffix(" plan"), justify="right")
        table.add_column("takes", justify="right", no_wrap=True)
    for rows in zip(*(timing.limits for timing in forecast.timings), strict=True):
        cells = [cell for timing, row in zip(forecast.timings, rows, strict=True) for cell in _cells(timing, row)]
        table.add_row(_label(rows[0]), f"{rows[0].needs:,}", *cells)
    table.add_section()
    table.add_row("the whole run", "", *(cell for timing in forecast.timings for cell in ("", spelled(timing.seconds))), style="bold")
    table.caption = "◄ binds   * set in the configuration"
    if (version := published_version(config)) is not None:
        table.caption = f"limits as Groq published them on {version}, per organisation and model\n{table.caption}"
    return table


def _label(row: LimitRow) -> str:
    if not row.name.isupper():
        return f"{row.name}, per s" if row.name == "this machine" else row.name
    counted, _, window = row.unit.partition(" a ")
    short = {"prompt tokens": "tokens in", "answer tokens": "tokens out"}.get(counted, counted)
    return f"{row.name}, {short}/{window.replace('minute', 'min')}"


def _cells(timing: Timing, row: LimitRow) -> tuple[Text, Text]:
    if row.limit is None:
        return Text("unknown" if row.said_by == "not published" else "no limit", style="dim"), Text("-", style="dim")
    style, arrow = ("bold", " ◄") if timing.binding == row.name else ("", "")
    mark = "*" if row.said_by == "configuration" else ""
    took = spelled(row.seconds) if row.seconds > 0 else "at once"
    return Text(f"{row.limit:,.10g}{mark}", style=style), Text(f"{took}{arrow}", style=style)


def _verdict(config: Config, forecast: Forecast) -> list[str]:
    """In sentences: how long, by which limit, and what stops it before its end."""
    cap, planned = config.throttle.max_cost_usd, forecast.planned
    if planned == 0 and forecast.records is not None:
        return ["Nothing is left to do."]
    said = []
    for timing in forecast.timings:
        unit = next(row.unit for row in timing.limits if row.name == timing.binding)
        binding = f"{unit} ({timing.binding})" if timing.binding.isupper() else timing.binding
        said.append(f"{timing.name}: {spelled(timing.seconds)}, bound by {binding}.")
        for number, stop in enumerate(timing.stops):
            by = f"The daily limit {stop.by} (throttle.on_daily_limit: stop)" if stop.by.isupper() else stop.by
            after = f"about {stop.after_records:,} of {planned:,} reads, {spelled(stop.seconds)} and ${stop.cost_usd:.4f}"
            if stop.by == COST_CAP:
                by = f"The cap of ${cap:g} ({COST_CAP})"
                after = after if stop.after_records else "no read at all: the worst case of one request does not fit below it"
            again = "Resumed without it: " if number else ""
            said.append(f"  {again}{by} stops it after {after} (exit 3; it can be resumed).")
    stopped = any(stop.by == COST_CAP for timing in forecast.timings for stop in timing.stops)
    if not stopped and forecast.records is not None:
        spent = 0.0 if forecast.resumed is None else forecast.resumed.cost_usd
        at_worst = "" if spent + forecast.worst_usd <= cap else "; at worst it would stop the run before its end"
        said.append(f"The cap of ${cap:g} suffices: {(spent + forecast.cost_usd) / cap:.0%} of it are expected to be spent{at_worst}.")
    return said


def _usd(amount: float) -> str:
    return f"${amount:,.2f}" if amount >= 100 else f"${amount:.4f}"
