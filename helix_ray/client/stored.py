"""Runs as the database has them, for people to look into: one run's books, one read's story, the list of all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from helix_ray.analysis.prompts import Ask, template_of
from helix_ray.client.past_run import database_url
from helix_ray.config.loading import parse_config
from helix_ray.environment.run_file import RunFile
from helix_ray.environment.secrets import Secret
from helix_ray.errors import ConfigError
from helix_ray.records import ApiCall, ControlEvent, ControlOutcome, JsonObject, ReadResult
from helix_ray.results import comparing
from helix_ray.results.accuracy import Crossed, confusion, crossed
from helix_ray.results.comparison_files import dollars, points
from helix_ray.results.files import page_path, report_path
from helix_ray.storage.blocking import with_ledger
from helix_ray.storage.ledger import DeadLetter, RunCounts, RunSummary, StoredRun
from helix_ray.storage.postgres import PostgresLedger

__all__ = ["Compared", "Crossed", "DeadLetter", "ReadStory", "RunBooks", "RunCounts", "RunSummary", "StoredRun", "StoredRuns"]

DEADLINE_S = 30.0
SHOWN_REQUESTS = 100
COMPARED_READS = 200_000
MARGIN = 0.01  # as `helix compare` has it unless told otherwise

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class RunBooks:
    """All that the database says of one run."""

    run: StoredRun
    counts: RunCounts
    commands: list[tuple[ControlEvent, ControlOutcome]]  # oldest first


@dataclass(frozen=True, slots=True)
class ReadStory:
    """One finished read with every request about it, and the text that a request about it alone holds."""

    result: ReadResult
    requests: list[ApiCall]  # oldest first, at most a hundred
    system: str | None  # None: it was not asked about, or by a prompt that is not here any more
    user: str | None


@dataclass(frozen=True, slots=True)
class Compared:
    """A run seen from its baseline, in the numbers and words of `helix compare`."""

    found: comparing.Comparison  # of the two, the baseline first
    difference: str  # of exact reads, in percentage points, with its 95 % interval
    verdict: str  # of the run
    usd_per_1000_reads: tuple[str, str]


class StoredRuns:
    """The database of one home's runs. Every method takes up to 30 s, more if the embedded server must start first.

    They raise HelixError, OSError or TimeoutError when the database cannot be asked, and know no run where there is none.
    """

    def __init__(self, home: Path) -> None:
        self._home = home

    def all(self) -> list[RunSummary]:
        """Newest first."""
        return self._ask(lambda ledger: ledger.runs()) or []

    def books(self, run_id: str) -> RunBooks | None:
        async def look(ledger: PostgresLedger) -> RunBooks | None:
            run = await ledger.load_run(run_id)
            return None if run is None else RunBooks(run, await ledger.counts(run_id), await ledger.controls(run_id))

        return self._ask(look)

    def read(self, run_id: str, named: str) -> ReadStory | None:
        """A finished read by its index, or by its id."""

        async def look(ledger: PostgresLedger) -> ReadStory | None:
            index, run = await ledger.find_read(run_id, named), await ledger.load_run(run_id)
            if index is None or run is None:
                return None
            (result,) = await ledger.read_results(run_id, index - 1, 1)
            return ReadStory(result, await ledger.calls_of_read(run_id, index, SHOWN_REQUESTS), *_prompt(result, run.config))

        return self._ask(look)

    def confusion(self, run_id: str) -> Crossed | None:
        """True types by called types, as the report has them; None without truth. The database counts all rows of the run."""

        async def look(ledger: PostgresLedger) -> Crossed | None:
            found = confusion(await ledger.scores(run_id))
            return crossed(found) if found else None

        return self._ask(look)

    def compare(self, baseline: str, run_id: str) -> Compared | None:
        """None: one of the two is unknown. ConfigError: why they are not compared, or have more reads than a page should wait for."""

        async def look(ledger: PostgresLedger) -> list[comparing.Chosen] | None:
            runs = [run for name in (baseline, run_id) if (run := await ledger.load_run(name)) is not None]
            if len(runs) < 2:
                return None
            comparing.check(runs, force=False)
            if (rows := sum(run.rows for run in runs)) > COMPARED_READS:
                problem = f"the two have {rows:,} reads, the page compares at most {COMPARED_READS:,}; the command below has no such limit"
                raise ConfigError("helix compare", [problem])
            return [await comparing.load(ledger, run, lambda _: None) for run in runs]

        chosen = self._ask(look)
        if chosen is None:
            return None
        found = comparing.compare(chosen, margin=MARGIN)
        (pair,), (one, other) = found["pairs"], (dollars(it["costs"]["usd_per_1000_reads"]) for it in found["standings"])
        return Compared(found, points(pair["exact"]), comparing.word(pair, pair["exact"]), (one, other))

    def dead_letters(self, run_id: str, limit: int) -> list[DeadLetter]:
        """The last finished first."""
        return self._ask(lambda ledger: ledger.dead_letters(run_id, limit)) or []

    def redrive(self, run_id: str, read_indices: Sequence[int]) -> int | None:
        """Lets a resumed run ask for these dead letters again. Their number. RunBusyError while the run is live."""
        return self._ask(lambda ledger: ledger.redrive(run_id, read_indices))

    def report_page(self, run_id: str) -> Path | None:
        """The HTML report, once the run has written it."""
        page = page_path(report_path(self._home, run_id))
        return page if page.is_file() else None

    def _ask(self, question: Callable[[PostgresLedger], Awaitable[Value]]) -> Value | None:
        run_file = RunFile.read(self._home) or RunFile.read_last(self._home)
        url = database_url(self._home, run_file) if run_file is not None else None
        return None if url is None else with_ledger(Secret(url), question, DEADLINE_S, DEADLINE_S)


def _prompt(result: ReadResult, config: JsonObject) -> tuple[str | None, str | None]:
    """As it is made today; the id is another in the request, and other reads may stand beside this one there."""
    if result.prompt is None:
        return None, None
    try:
        template = template_of(parse_config(config, "stored configuration").analyzer)
    except ConfigError:
        return None, None
    if template.sha256 != result.prompt_hash:
        return None, None
    return template.system, template.user_text([Ask("(opaque)", result.read.ref_seq, result.read.seq)])
