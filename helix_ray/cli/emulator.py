"""``helix emulator``: the local Groq alone, in the foreground."""

from __future__ import annotations

from typing import Annotated, Literal

import typer
from pydantic import ValidationError
from rich.console import Console

from helix_ray.config.emulator import EmulatorConfig, LawName
from helix_ray.emulator.http import run_foreground
from helix_ray.emulator.published import MODELS
from helix_ray.errors import ConfigError, StartError

Tier = Literal["free", "developer", "unlimited"]
_DEFAULTS = EmulatorConfig()
_RATES = _DEFAULTS.error_rates
_LIMIT_HELP = "Replaces the tier's limit. Default: the tier's."


def emulator(
    host: Annotated[str, typer.Option(help="Address to listen on. It takes any key, so keep it on loopback.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 8877,
    tier: Annotated[
        Tier,
        typer.Option(
            help="free: 30 RPM, 1K RPD, 8K TPM, 200K TPD. developer: 1K RPM, 500K RPD, the model's TPM (mostly 250K). "
            "unlimited: enforces nothing, the headers show large figures."
        ),
    ] = _DEFAULTS.tier,
    law: Annotated[LawName, typer.Option(help="Whose way of counting and telling limits.")] = (_DEFAULTS.law),
    requests_per_minute: Annotated[int | None, typer.Option(min=1, help=_LIMIT_HELP)] = None,
    requests_per_day: Annotated[int | None, typer.Option(min=1, help=_LIMIT_HELP)] = None,
    tokens_per_minute: Annotated[int | None, typer.Option(min=1, help=_LIMIT_HELP)] = None,
    tokens_per_day: Annotated[int | None, typer.Option(min=1, help=_LIMIT_HELP)] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of answers and latencies: the same pair gets the same answer.")] = _DEFAULTS.seed,
    latency_scale: Annotated[
        float, typer.Option(min=0, max=100, help="1: as slow as published; 0: answers at once.")
    ] = _DEFAULTS.latency_scale,
    refund: Annotated[
        bool, typer.Option(help="Give unused completion budget back to the token limits once the answer is written.")
    ] = _DEFAULTS.refund,
    drop: Annotated[float, typer.Option(min=0, max=1, help="Share of true variants left out.")] = _RATES.drop,
    shift: Annotated[float, typer.Option(min=0, max=1, help="Share of true variants reported one base off.")] = _RATES.shift,
    hallucinate: Annotated[float, typer.Option(min=0, max=1, help="Share of reads with one invented variant.")] = _RATES.hallucinate,
    model: Annotated[
        str, typer.Option(help="Model whose limits the summary shows from the start; all models are served.")
    ] = "openai/gpt-oss-20b",
) -> None:
    """A local stand-in for Groq's API: published limits, errors, prices, latencies.

    It is an emulator with scripted error rates; says nothing about any LLM.
    It takes any key, needs no network and costs nothing; its bill shows what
    the same traffic would have cost.

    From any Groq client: GROQ_BASE_URL=http://127.0.0.1:8877 GROQ_API_KEY=any.
    From a run: analyzer.backend: groq, with analyzer.base_url set to it.

    What it saw: /_ctl/summary (requests, 429 by kind, tokens, bill, use of each
    limit), /_ctl/ledger?offset=0 (every request) and /_ctl/reads?offset=0 (every
    billed read: its scripted errors and the calls sent). POST /_ctl/set changes
    limits, capacity, outages and faults while it runs: a JSON object of keys as
    in the section emulator of a configuration. Ctrl-C ends it.
    """
    if model not in MODELS:
        raise StartError(f"--model {model}: not served; served are {', '.join(MODELS)}")
    given = {
        "tier": tier,
        "law": law,
        "requests_per_minute": requests_per_minute,
        "requests_per_day": requests_per_day,
        "tokens_per_minute": tokens_per_minute,
        "tokens_per_day": tokens_per_day,
        "seed": seed,
        "latency_scale": latency_scale,
        "refund": refund,
        "error_rates": {"drop": drop, "shift": shift, "hallucinate": hallucinate},
    }
    try:
        config = EmulatorConfig.model_validate(given)
    except ValidationError as error:
        problems = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
        raise ConfigError("helix emulator", problems) from None
    try:
        run_foreground(config, model, host, port, lambda url: _announce(config, url))
    except OSError as error:
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror}; choose another --port, or 0 for a free one") from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _announce(config: EmulatorConfig, url: str) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    rates = config.error_rates
    console.print(f"base_url   {url}    (GROQ_BASE_URL; the SDK appends /openai/v1)")
    console.print("this is    an emulator of Groq's API; says nothing about any LLM")
    console.print(f"answers    scripted, seed {config.seed}: drop {rates.drop:g}, shift {rates.shift:g}, hallucinate {rates.hallucinate:g}")
    console.print(
        f"limits     tier {config.tier}, law {config.law}, latency x {config.latency_scale:g}, refund {'on' if config.refund else 'off'}"
    )
    console.print(f"seen       {url}/_ctl/summary   {url}/_ctl/ledger?offset=0   {url}/_ctl/reads?offset=0")
    console.print("Ctrl-C ends it.")
