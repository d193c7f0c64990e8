"""``helix run``: from a configuration to a report."""

from __future__ import annotations

import os
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from helix_ray.cli.logs import Level
from helix_ray.cli.output import unfailing_output
from helix_ray.environment.home import helix_home
from helix_ray.environment.lock import HomeLock
from helix_ray.environment.secrets import Secrets, load_secrets, withdraw_from_environment
from helix_ray.environment.shipped import shipped_config
from helix_ray.errors import ConfigError
from helix_ray.session.signals import Signals

if TYPE_CHECKING:
    from helix_ray.config import Config
    from helix_ray.session.plan import Plan


def run(
    config: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG]", help="Configuration file (YAML). Default: the shipped demo.yaml, which needs no key."),
    ] = None,
    config_option: Annotated[Path | None, typer.Option("--config", metavar="CONFIG", help="The same, as an option.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Overrides one key, e.g. --set source.count=500. May be repeated."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|last",
            help="Finishes a run that was stopped: its id, a beginning of it, its name, or last. Alone, it uses the configuration "
            "stored with the run.",
        ),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option("--run-id", metavar="UUID", help="Begins a run under this id, or goes on with it if it exists. Short for run.id."),
    ] = None,
    accept_changes: Annotated[bool, typer.Option("--accept-changes", help="Resume although what defines the results was changed.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Predict requests, tokens, cost and time at the limits; start nothing.")
    ] = False,
    difference: Annotated[
        float | None, typer.Option(help="With --dry-run: reads and dollars to tell runs apart that differ by this share of exact reads.")
    ] = None,
    discordant: Annotated[
        float | None, typer.Option(help="With --difference: the share of reads that one run alone has right. Default 0.1.")
    ] = None,
    pilot: Annotated[
        tuple[str, str] | None, typer.Option(metavar="RUN RUN", help="With --difference: two stored runs that show that share.")
    ] = None,
    power: Annotated[float, typer.Option(help="With --difference: the chance of finding it.")] = 0.8,
    pairs: Annotated[int, typer.Option(help="With --difference: how many runs are compared with the baseline (Holm).")] = 1,
    report: Annotated[Path | None, typer.Option(metavar="PATH", help="Also write the report (JSON) here.")] = None,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Print no live view, only the start and the report.")] = False,
    hold: Annotated[bool, typer.Option("--hold", help="Keep Ray, its dashboard and the metrics up after the run, until Ctrl-C.")] = False,
    log_level: Annotated[
        Level, typer.Option(help="What the processes log, for `helix logs`; reads and answers at debug only.")
    ] = Level.INFO,
) -> None:
    """Runs DNA reads through the model and stores every result once.

    With no CONFIG it runs the demo: 2,000 synthetic reads against the local emulator of the API, into an embedded PostgreSQL.

    --dry-run prints what the run would ask for, cost and take, and starts nothing: it needs no key, no database and no network.
    With --resume it is about what is left of that run.

    The first Ctrl-C finishes and stores what is in flight and prints how to resume; the second stops within 5 seconds.

    Exit codes: 0 complete · 2 could not start, nothing was sent or stored · 3 stopped by budget, a day's limit or duration ·
    4 refused by the provider · 5 complete, with dead letters or nothing analysed · 130 stopped by you · 1 anything else.
    """
    if config is not None and config_option is not None:
        raise ConfigError("--config", [f"CONFIG is given twice: {config} and {config_option}; give it once"])
    if run_id is not None:
        _check_run_id(run_id, resume)
    with Signals() as signals:  # an import may turn an interruption into an error of its own
        from helix_ray.actors import cluster  # noqa: PLC0415  (this and what follows: --help is to be cheap)
        from helix_ray.cli import dry_run as forecasting  # noqa: PLC0415
        from helix_ray.cli.terminal import Terminal  # noqa: PLC0415
        from helix_ray.config.loading import load_config, parse_config  # noqa: PLC0415
        from helix_ray.forecast.estimate import Resumed  # noqa: PLC0415
        from helix_ray.session import database, preparation  # noqa: PLC0415
        from helix_ray.session.guard import Guard  # noqa: PLC0415
        from helix_ray.storage import embedded  # noqa: PLC0415

        path, settings = config or config_option, [*(overrides or ()), *([] if run_id is None else [f"run.id={run_id}"])]
        given = load_config(path or shipped_config("demo"), settings) if path or resume is None else None
        if accept_changes and resume is None and (given is None or given.run.id is None):
            raise ConfigError("--accept-changes", ["only has a meaning with --resume RUN, --run-id UUID or run.id"])
        _check_writable(report)
        _check_planned(dry_run, difference, discordant, pilot)
        if dry_run and resume is None:
            assert given is not None
            forecasting.dry_run(given, report, Console(), aim=forecasting.aim_of(difference, discordant, pilot, power, pairs))
            return
        secrets = load_secrets(os.environ, Path(".env"))
        withdraw_from_environment()  # so that no child process and no Ray worker inherits them
        home = helix_home()
        with unfailing_output(), HomeLock(home), Guard(home):
            stored = (
                database.find_stored(home, secrets, resume or database.LAST, given, "--resume")[0]
                if given is None or resume is not None
                else database.find_begun(given, home, secrets)
            )
            if stored is not None:
                source = f"stored configuration of run {stored.run_id}"
                resumed = given if given is not None and path is not None else parse_config(stored.config, source, settings)
                if dry_run:
                    forecasting.dry_run(resumed, report, Console(), Resumed(stored.run_id, stored.rows, float(stored.cost_usd)))
                    return
                plan = preparation.prepare_resume(resumed, home, secrets, stored, accept_changes)
                if plan is None:
                    Console(highlight=False, soft_wrap=True).print(
                        f"Run {stored.run_id} is complete: each of its {stored.rows:,} reads has its row. Nothing was started; "
                        "`helix export` and `helix runs` show what it came to."
                    )
                    return
            else:
                assert given is not None
                plan = _prepared(given, home, secrets)
            terminal = Terminal(Console(), plan, progress=not no_progress, copy_report_to=report)
            terminal.announce()
            cluster.prepare(home, plan.config.ray)
            from helix_ray.pipeline import Pipeline  # noqa: PLC0415  (imports ray, which reads the environment only then)

            try:
                outcome = Pipeline(plan, terminal.listener(), hold, signals, log_level.value).run()
            finally:
                terminal.close()
                embedded.stop(home)
    sys.exit(outcome.exit_code)


def _prepared(config: Config, home: Path, secrets: Secrets) -> Plan:
    """A new run. What it needs of Ray is imported meanwhile, which takes as long as a new database does."""
    from helix_ray.actors import cluster  # noqa: PLC0415  (as in `run`)
    from helix_ray.session import preparation  # noqa: PLC0415

    cluster.prepare(home, config.ray)
    with ThreadPoolExecutor(1) as importing:
        importing.submit(import_module, "helix_ray.pipeline")
        return preparation.prepare(config, home, secrets)


def _check_run_id(run_id: str, resume: str | None) -> None:
    if not is_uuid(run_id):
        raise ConfigError("--run-id", [f"{run_id!r} is not a UUID; one looks like 0b5e4b8e-3f0a-4d57-9c0c-6a1f2e3d4c5b"])
    if resume is not None:
        raise ConfigError("--run-id", ["--resume names a run already; give one of the two"])


def _check_planned(dry_run: bool, *options: object) -> None:
    if not dry_run and any(value is not None for value in options):
        raise ConfigError("--difference", ["only has a meaning with --dry-run, which plans and starts nothing"])


def _check_writable(report: Path | None) -> None:
    """A report that cannot be written should be known before the run, not after it."""
    if report is None:
        return
    folder = report.absolute().parent
    if report.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"--report {report}", ["not a file in a folder that exists and may be written to"])


def is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text.lower()
    except ValueError:
        return False
