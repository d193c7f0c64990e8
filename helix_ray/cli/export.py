"""``helix export``: files for other tools, of a stored run or straight from a configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from helix_ray.config import Config
from helix_ray.config.loading import load_config, parse_config
from helix_ray.errors import ConfigError
from helix_ray.records import Read
from helix_ray.results.export import ROWS, Export, Format, Manifest, Origin, new_folder
from helix_ray.session.database import LAST, find_runs
from helix_ray.sources import check_source, generator_version, make_source
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.ledger import Ledger, StoredRun

PAGE = 5000  # reads that are asked of the database at once: some 4 MB, with their results some 30


def export(
    runs: Annotated[
        list[str] | None,
        typer.Option("--run", metavar="RUN", help="As `helix runs` lists them, or last, the default. Several make one data set of rows."),
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="CONFIG", help="Instead of a run: generate the reads of this configuration.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="With --config: overrides one key, e.g. --set source.count=100000. May be repeated."
        ),
    ] = None,
    formats: Annotated[
        list[Format] | None, typer.Option("--format", help="What to write. May be repeated. Default: all that the reads allow.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="A folder that does not exist yet. Default: helix-export-NAME.")
    ] = None,
    coordinates: Annotated[
        Literal["window", "reference"],
        typer.Option(help="Contigs of the files: each window its own, or those of source.reference."),
    ] = "window",
    force: Annotated[bool, typer.Option("--force", help="Replace DIR if it holds something.")] = False,
) -> None:
    """Writes truth, reads, windows and a run's results as files for other tools.

    truth-vcf: truth.vcf.gz and errors.vcf.gz (VCF 4.3, bgzip, tabix index; sequencing errors apart) · fastq: reads.fastq.gz, as
    sequenced · reference: reference.fa with its index · bed: regions.bed, the windows without their flanks. manifest.json beside them
    says what was counted, and holds the configuration and every file's sha256.

    Of a run also: calls-vcf: calls.vcf.gz, and calls_invalid.jsonl for what no VCF can hold · ga4gh: scored.vcf.gz, truth and calls with
    how each was counted · csv: summary.csv and extended.csv under hap.py's column names, and variant_calls.csv · jsonl: reads.jsonl,
    everything of a read a line · parquet: reads.parquet and variant_calls.parquet.

    Of several runs: csv (variant_calls.csv), jsonl and parquet, whose rows say of which run they are.

    With --config nothing is run and nothing is sent: the reads are generated, as many as source.count says, or read from its file.

    The truth is each read's own, not a sample's genotype: with --coordinates reference the variants of overlapping reads lie over each
    other. Reads that were placed on a reference come without what their alignment clipped.
    """
    if runs and config is not None:
        raise ConfigError("--config", ["give either --run or --config, not both"])
    if overrides and config is None:
        raise ConfigError("--set", ["only has a meaning with --config: a stored run keeps its configuration"])
    reads = _of_config(load_config(config, list(overrides or ()))) if config is not None else _of_runs(runs or [LAST])
    origin, output = reads.origins[0], output or Path(f"helix-export-{reads.name}")
    if not formats:
        formats = list(ROWS) if len(reads.origins) > 1 else Format.fitting(origin.config, of_run=origin.run_id is not None)
    on_reference = coordinates == "reference"
    with new_folder(output, force=force) as folder, Export(folder, formats, *reads.origins, on_reference=on_reference) as target:
        with read_progress(reads.total) as advance:
            reads.fill(target, advance)
        manifest = target.finish()
    _print_summary(Console(highlight=False, soft_wrap=True), output, manifest)


class _Reads(NamedTuple):
    """What is exported."""

    origins: tuple[Origin, ...]
    name: str  # of the default folder, after "helix-export-"
    total: int | None  # reads; None: not known
    fill: Callable[[Export, Callable[[int], None]], None]


def _of_config(config: Config) -> _Reads:
    if config.source.count is None and config.source.path is None:
        raise ConfigError("source.count", ["null would export for ever; add --set source.count=N"])
    origin = Origin(config, generator_version(), source_checksum=check_source(config))

    def fill(target: Export, advance: Callable[[int], None]) -> None:
        for reads in _blocks(config):
            target.add(reads)
            advance(len(reads))

    return _Reads((origin,), config.run.name.replace(" ", "_"), config.source.count, fill)


def _blocks(config: Config) -> Iterator[list[Read]]:
    source = make_source(config)
    index = 0
    while (batch := source.block(index)) is not None:
        yield batch.rows()
        index += 1


def _of_runs(runs: list[str]) -> _Reads:
    found = find_runs(runs, "--run")
    origins = tuple(_origin(stored) for stored, _ in found)

    def fill(target: Export, advance: Callable[[int], None]) -> None:
        for origin, (stored, url) in zip(origins, found, strict=True):
            target.begin(origin)
            with_ledger(url, partial(fill_from, run_id=stored.run_id, target=target, advance=advance), timeout_s=60.0)

    name = origins[0].run_id if len(origins) == 1 else f"{len(origins)}-runs"
    return _Reads(origins, str(name), sum(stored.rows for stored, _ in found), fill)


def _origin(stored: StoredRun) -> Origin:
    config = parse_config(stored.config, f"stored configuration of run {stored.run_id}")
    generator = str(stored.versions.get("generator", "unknown"))
    return Origin(config, generator, stored.run_id, stored.simulated, stored.source_checksum, _facts(stored))


def _facts(stored: StoredRun) -> Manifest:
    """What the manifest says of a run: its configuration as it was stored, and those before a resume changed it."""
    return {
        "status": stored.status.value,
        "backend": stored.backend,
        "reads_requested": stored.config["source"]["count"],
        "versions": dict(stored.versions),
        "config_sha256": stored.config_hash,
        "config": stored.config,
        "earlier_configs": list(stored.earlier_configs),
    }


async def fill_from(ledger: Ledger, run_id: str, target: Export, advance: Callable[[int], None]) -> None:
    """Page by page, and of each read no more than the formats need."""
    last = -1
    while True:
        if target.needs_results:
            results = await ledger.read_results(run_id, last, PAGE)
            target.add_results(results)
            reads = [result.read for result in results]
        else:
            reads = await ledger.read_reads(run_id, last, PAGE)
            target.add(reads)
        if not reads:
            return
        advance(len(reads))
        last = reads[-1].read_index


@contextmanager
def read_progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal's standard error; the function that is yielded adds a number of reads. ``total`` None: not known."""
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("Reads", total=total)
        yield lambda count: progress.advance(task, count)


def _print_summary(console: Console, output: Path, manifest: Manifest) -> None:
    table = Table("file", Column("bytes", justify="right"))
    for name, entry in manifest["files"].items():
        table.add_row(name, f"{entry['bytes']:,}")
    table.add_row("manifest.json", f"{(output / 'manifest.json').stat().st_size:,}")
    console.print(table)
    counts = manifest["counts"]
    unfinished = "" if manifest.get("status") in (None, "complete") else f" (the run is {manifest['status']}: its finished reads)"
    left_out = sum(counts["left_out"].values())
    of_run = (
        f" of {len(manifest['runs'])} runs" if "runs" in manifest else "" if manifest["run_id"] is None else f" of run {manifest['run_id']}"
    )
    console.print(f"{output}: {counts['reads']:,} reads{of_run}{f', {left_out:,} left out' if left_out else ''}{unfinished}", markup=False)
    if counts["with_known_truth"]:
        share = counts["identifiable"] / counts["with_known_truth"]
        errors = counts["sequencing_errors"]
        console.print(f"{counts['variants']:,} true variants, {errors:,} sequencing errors, {share:.1%} of the reads identifiable")
    if manifest["results"]:
        calls: Counter[str] = Counter(manifest["results"]["calls_by_outcome"])
        scripted = " (EMULATOR: the answers are scripted)" if manifest["simulated"] else ""
        console.print(f"{calls.total():,} calls, {calls.total() - calls['ok']:,} of them not valid{scripted}", markup=False)
