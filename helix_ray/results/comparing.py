# ruff: noqa: UP013 (tables: related keys stand in one line)
"""Stored runs compared: whether they may be, their reads as columns, and the result as JSON values."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypedDict

import numpy as np
import pyarrow as pa
from pyarrow import csv

from helix_ray import __version__
from helix_ray.comparison import league
from helix_ray.comparison.decisions import BETTER, EQUIVALENT
from helix_ray.comparison.profiles import FALSE, FOUND, MISSED, Levels, Meeting, Profiles, Variants, fingerprint, meet
from helix_ray.errors import ConfigError
from helix_ray.providers.readings import AnswerError
from helix_ray.records import Disposition, JsonObject, ReadResult
from helix_ray.results.formatting import NOTICE
from helix_ray.results.provenance import Provenance, provenance
from helix_ray.results.rescoring import rescored
from helix_ray.scoring.score import SCORER_VERSION
from helix_ray.scoring.strata import NOT_A_VARIANT, read_levels, variant_levels
from helix_ray.storage.ledger import StoredRun
from helix_ray.storage.postgres import PostgresLedger

SCHEMA = "helix-compare/1"
PAGE = 2000  # reads that are asked of the database at once
MANY_UNFINISHED = 0.01
"""The share of unfinished reads above which a comparison is warned about: who stops early may have met easier reads."""
NAMED = 1000  # discordant reads that are listed, of each pair

_KINDS = {"TP": FOUND, "FN": MISSED, "FP": FALSE}
_SOURCE = ("kind", "path", "reference", "min_mapping_quality", "max_read_length", "iupac")

Against = TypedDict("Against", {"run_id": str, "unfinished": int, "dropped": int})
Discordant = TypedDict("Discordant", {"first": int, "second": int, "read_index": int, "right": int})
Comparison = TypedDict("Comparison", {
    "schema": str, "helix_throttle": str, "scorer": str, "runs": list[Provenance], "reads": int, "fingerprint": str, "margin": float,
    "left_out": list[Against], "unlike": int, "warnings": list[str], "standings": list[league.Standing], "pairs": list[league.Pair],
    "discordant_reads": list[Discordant], "all_pairs": bool, "rescored": list[str], "few_clusters": bool,
})  # fmt: skip


class Chosen(NamedTuple):
    """A run, its reads, and whether they had to be scored again."""

    stored: StoredRun
    profiles: Profiles
    rescored: bool


def about(stored: StoredRun) -> Provenance:
    return provenance(stored.run_id, stored.name, stored.backend, stored.config, simulated=stored.simulated)


def check(runs: Sequence[StoredRun], *, force: bool) -> list[str]:
    """Why these runs should not be compared; empty where they may be. ConfigError unless ``force``: names the first difference."""
    facts = [_comparable(stored) for stored in runs]
    found = [
        f"{what} is {mine[what]} in {runs[0].run_id} and {theirs[what]} in {stored.run_id}"
        for stored, theirs in zip(runs[1:], facts[1:], strict=True)
        for mine in facts[:1]
        for what in mine
        if mine[what] != theirs[what]
    ]
    for stored in runs:
        changed = [name for name in ("model", "prompt", "reasoning_effort") if _arms(stored, name) > 1]
        found += [f"{stored.run_id} is mixed: analyzer.{name} was changed when it was resumed" for name in changed]
    if found and not force:
        raise ConfigError("helix compare", [f"{found[0]}; such runs answer different questions (--force compares them, with a banner)"])
    return found


def _comparable(stored: StoredRun) -> dict[str, object]:
    """What equal questions have in common, in the order in which a difference is named."""
    mutation = stored.config["source"].get("mutation", {})
    return {
        "the task": about(stored)["task"] or "unassisted",
        "simulated": stored.simulated,
        "source.mutation.base_error_rate": mutation.get("base_error_rate", 0.0),
        "source.mutation.quality_model": mutation.get("quality_model") if mutation.get("base_error_rate") else None,
    }


def _arms(stored: StoredRun, name: str) -> int:
    configs = [stored.config, *(earlier["config"] for earlier in stored.earlier_configs)]
    return len({str(config["analyzer"].get(name)) for config in configs})


def first_difference(one: StoredRun, other: StoredRun) -> str:
    """The first key by which two runs do not make the same reads."""

    def facts(stored: StoredRun) -> Iterator[tuple[str, object]]:
        source = stored.config["source"]
        yield "run.seed", stored.seed
        yield from ((f"source.{name}", source.get(name)) for name in _SOURCE)
        yield "the sum of the input", stored.source_checksum
        yield from ((f"source.mutation.{name}", value) for name, value in sorted(source.get("mutation", {}).items()))
        yield "the generator's version", stored.versions.get("generator")

    theirs = dict(facts(other))
    for name, value in facts(one):
        if value != theirs.get(name):
            return f"{name} is {value} in {one.run_id} and {theirs.get(name)} in {other.run_id}"
    return f"their reads differ, though {one.run_id} and {other.run_id} name the same source"


async def load(ledger: PostgresLedger, stored: StoredRun, advance: Callable[[int], None]) -> Chosen:
    """The scored reads of a run, by this version's scorer: as stored, or scored again where another version did it."""
    versions = [stored.versions, *(earlier["versions"] for earlier in stored.earlier_configs)]
    packed = any(config["analyzer"].get("reads_per_request", 1) > 1 for config in (stored.config, *_earlier(stored)))
    errors = with_errors(stored)
    if {it.get("scorer", "1") for it in versions} == {SCORER_VERSION}:
        reads, variants = io.BytesIO(), io.BytesIO()
        await ledger.compared(stored.run_id, reads, variants, packed=packed, errors=errors)
        advance(stored.rows)
        return Chosen(stored, from_tables(_table(reads, "request"), _table(variants), packed=packed), False)
    rows, last = _Rows(errors), -1
    while results := await ledger.read_results(stored.run_id, last, PAGE):
        for result in results:
            rows.add(result)
        last = results[-1].read.read_index
        advance(len(results))
    return Chosen(stored, from_tables(*rows.tables(), packed=packed), True)


def with_errors(stored: StoredRun) -> bool:
    """Whether the reads have sequencing errors: then a model that names every difference, as it is asked to, is right."""
    return bool(stored.config["source"].get("mutation", {}).get("base_error_rate", 0.0) != 0.0)


def _earlier(stored: StoredRun) -> list[JsonObject]:
    return [earlier["config"] for earlier in stored.earlier_configs]


def _table(text: io.BytesIO, *texts: str) -> pa.Table:
    """Texts as codes of a dictionary, but for those of the columns whose values are known."""
    text.seek(0)
    head = text.readline().decode().rstrip("\n").split(",")
    types = {name: pa.dictionary(pa.int32(), pa.string()) for name in head if name not in _TYPES} | _TYPES
    text.seek(0)
    options = csv.ConvertOptions(
        column_types=types,
        true_values=["t"],
        false_values=["f"],
        null_values=[""],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )
    return csv.read_csv(text, convert_options=options)


_TYPES = {"read_index": pa.int64(), "checksum": pa.uint64(), **dict.fromkeys(("exact", "answered", "clean", "detected"), pa.bool_())}


def from_tables(reads: pa.Table, variants: pa.Table, *, packed: bool) -> Profiles:
    """From the columns that the database gives; every other column of the variants is a dimension."""
    index = reads["read_index"].to_numpy()
    request = None
    if packed:
        known = _codes(reads["request"])
        request = np.where(known.codes < 0, len(known.names) + np.arange(len(index)), known.codes)
    match = _codes(variants["match"])
    kinds = np.array([_KINDS[name] for name in match.names] or [0], dtype=np.int8)
    dimensions = {name: _codes(variants[name]) for name in variants.column_names if name not in ("read_index", "match")}
    flags = {name: reads[name].to_numpy() for name in ("exact", "answered", "clean", "detected")}
    return Profiles(
        index=index,
        checksum=reads["checksum"].to_numpy(),
        request=request,
        variants=Variants(np.searchsorted(index, variants["read_index"].to_numpy()), kinds[match.codes], dimensions),
        **flags,
    )


def _codes(column: pa.ChunkedArray) -> Levels:
    whole = column.unify_dictionaries().combine_chunks()
    if not len(whole):
        return Levels((), np.zeros(0, dtype=np.int16))
    return Levels(
        tuple(whole.dictionary.to_pylist()), whole.indices.fill_null(-1).to_numpy().astype(np.min_scalar_type(-1 - len(whole.dictionary)))
    )


class _Rows:
    """The same columns from results that are scored again here."""

    def __init__(self, errors: bool) -> None:
        self._errors = errors
        self._reads: list[dict[str, Any]] = []
        self._variants: list[dict[str, Any]] = []

    def add(self, stored: ReadResult) -> None:
        found = rescored(stored)
        result, read = stored if isinstance(found, AnswerError) else found, stored.read
        if read.truth is None or read.disposition is not None:
            return
        fits = all(row.outcome in ("ok", "duplicate") for row in result.variants if row.side == "call")
        described = result.disposition is Disposition.STORED and fits and result.residual_edits == 0
        self._reads.append({
            "read_index": read.read_index, "checksum": read.checksum or 0, "exact": described if self._errors else bool(result.exact),
            "answered": result.disposition is Disposition.STORED, "clean": not read.truth, "detected": bool(result.mutation_detected),
            "request": result.call_id,
        })  # fmt: skip
        for row in result.variants:
            match = (row.all_match or row.match) if self._errors else row.match
            if row.side == "error" and self._errors and match is not None:
                self._variants.append({"read_index": read.read_index, "match": match, "type": row.type or NOT_A_VARIANT})
            elif match is not None and (row.side == "truth" or (row.side == "call" and match == "FP")):
                levels = (*read_levels(read), *variant_levels(row, read.ref_seq))
                self._variants.append({"read_index": read.read_index, "match": match, **dict(levels)})

    def tables(self) -> tuple[pa.Table, pa.Table]:
        names = [
            "read_index",
            "match",
            *dict.fromkeys(name for row in self._variants for name in row if name not in ("read_index", "match")),
        ]
        coded = pa.dictionary(pa.int32(), pa.string())
        schema = pa.schema([(name, _TYPES.get(name, coded)) for name in names])
        of_reads = pa.schema([*_TYPES.items(), ("request", coded)])
        return pa.Table.from_pylist(self._reads, schema=of_reads), pa.Table.from_pylist(self._variants, schema=schema)


def compare(
    chosen: Sequence[Chosen], *, margin: float, common: bool = False, all_pairs: bool = False, objections: Sequence[str] = ()
) -> Comparison:
    """``objections``: what `check` found and was overruled. ConfigError: no truth, no common read, or, without ``common``, other reads."""
    for run in chosen:
        if not run.profiles.reads:
            raise ConfigError("helix compare", [f"{run.stored.run_id} has no scored read: without known truth nothing is right or wrong"])
    met = meet([run.profiles for run in chosen])
    stored = [run.stored for run in chosen]
    if met.unlike and not common:
        differing = next((other for other in stored[1:] if first_difference(stored[0], other).find("though") < 0), stored[1])
        why = first_difference(stored[0], differing)
        raise ConfigError("helix compare", [f"{met.unlike:,} reads are not the same in all runs: {why} (--common compares the others)"])
    if not met.reads:
        raise ConfigError("helix compare", ["the runs have no finished read in common"])
    profiles = [run.profiles.only(places) for run, places in zip(chosen, met.places, strict=True)]
    found = league.compare(profiles, [(float(it.cost_usd), it.rows) for it in stored], margin=margin, all_pairs=all_pairs)
    return {
        "schema": SCHEMA,
        "helix_throttle": __version__,
        "scorer": SCORER_VERSION,
        "runs": [about(it) for it in stored],
        "reads": found.reads,
        "fingerprint": fingerprint(profiles[0]),
        "margin": margin,
        "left_out": [
            {"run_id": it.stored.run_id, "unfinished": unfinished, "dropped": it.profiles.reads - met.reads}
            for it, unfinished in zip(chosen, met.unfinished, strict=True)
        ],
        "unlike": met.unlike,
        "warnings": [*objections, *_warnings(chosen, met, found.few_clusters)],
        "standings": found.standings,
        "pairs": found.pairs,
        "discordant_reads": [row for pair in found.pairs for row in _discordant(profiles, pair)],
        "all_pairs": all_pairs,
        "rescored": [it.stored.run_id for it in chosen if it.rescored],
        "few_clusters": found.few_clusters,
    }


def _warnings(chosen: Sequence[Chosen], met: Meeting, few: bool) -> Iterator[str]:
    if any(it.stored.simulated for it in chosen):
        yield NOTICE
    for it, unfinished in zip(chosen, met.unfinished, strict=True):
        if unfinished > MANY_UNFINISHED * (it.profiles.reads + unfinished):
            yield f"{unfinished:,} reads are unfinished in {it.stored.run_id} and left out of all runs; which ones may not be chance"
    if met.unlike:
        yield f"{met.unlike:,} reads that are not the same in all runs are left out"
    if few:
        yield "fewer than 40 requests or reads stand for themselves: Student's t widens the intervals"


def _discordant(profiles: Sequence[Profiles], pair: league.Pair) -> Iterator[Discordant]:
    first, second = pair["first"], pair["second"]
    one, other = profiles[first], profiles[second]
    for place in np.flatnonzero(one.exact != other.exact)[:NAMED]:
        right = second if other.exact[place] else first
        yield {"first": first, "second": second, "read_index": int(one.index[place]), "right": right}


def word(pair: league.Pair, endpoint: league.Estimate) -> str:
    """Of the second run, seen from the first."""
    said = endpoint["verdict"]
    if said == BETTER:
        return "better" if endpoint["difference"] > 0 else "worse"
    more = "" if endpoint["more_reads"] is None else f", about {endpoint['more_reads']:,} reads more"
    return "equivalent" if said == EQUIVALENT else f"undecided{more}"


def is_worse(found: Comparison) -> bool:
    """Whether some run was not shown to be as exact as the one that it is compared with, up to the margin: one-sided, 5 %."""
    return any(pair["exact"]["ci90"][0] < -found["margin"] for pair in found["pairs"])
