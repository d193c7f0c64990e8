"""The configuration of a run: strict, frozen, with units in the names. Every key is explained in configs/demo.yaml.

Reading files, overrides and error texts are `loading`'s job; this module is only the shape and its limits.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Annotated, Literal, get_args

from pydantic import Discriminator, Field, StringConstraints, Tag, model_validator

from helix_ray.config.base import FilePath, PositiveFloat, PositiveInt, Section
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.config.mutation import MutationConfig
from helix_ray.config.provider import ADDRESSES, HttpAddress, ProviderConfig, address_of, fault_of, is_loopback
from helix_ray.records.calls import RequestedTier

ONE_FILE = "mates are not paired, each read is analysed by itself: run each file by itself"


class SourceKind(StrEnum):
    SYNTHETIC = "synthetic"
    FASTQ = "fastq"
    FASTA = "fasta"
    PAIRS = "pairs"


class Backend(StrEnum):
    GROQ = "groq"
    EMULATOR = "emulator"
    ALIGNER = "aligner"

    @property
    def asks_an_api(self) -> bool:
        """Requests are sent, so there are permits, limits and a bill."""
        return self is not Backend.ALIGNER

    @property
    def asks_provider(self) -> bool:
        """The requests go to the server of the section ``provider``."""
        return self is Backend.GROQ

    @property
    def simulated(self) -> bool:
        """The run starts an emulator of its own to answer."""
        return self is Backend.EMULATOR


class RunConfig(Section):
    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w .:+-]+$")] = "demo"
    id: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", to_lower=True)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 42
    max_duration_s: PositiveFloat | None = None
    drain_timeout_s: Annotated[float, Field(gt=0, le=600)] = 20.0


class SourceConfig(Section):
    kind: Annotated[SourceKind, Field(strict=False)] = SourceKind.SYNTHETIC
    count: Annotated[int, Field(ge=1, le=10**12)] | None = 2000
    rate_per_s: PositiveFloat | None = None
    producers: Annotated[int, Field(ge=1, le=64)] = 2  # actors; always 1 for a file of reads
    batch_size: Annotated[int, Field(ge=1, le=1000)] = 50
    on_error: Literal["stop", "skip"] = "stop"
    allow_external: bool = False
    path: FilePath | None = None
    copy_limit_mb: Annotated[int, Field(ge=1, le=10**7)] = 20_000  # of standard input, a pipe, or the reads of BAM and CRAM
    reference: FilePath | None = None
    min_mapping_quality: Annotated[int, Field(ge=0, le=60)] = 20
    max_read_length: Annotated[int, Field(ge=30, le=10000)] = 1000
    iupac: Literal["filter", "n"] = "filter"
    mutation: MutationConfig = MutationConfig()

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_files(cls, data: object) -> object:
        """Written into the model, so that a stored configuration reads back as it was."""
        if not isinstance(data, dict):
            return data
        if data.get("path") == [None]:  # a lone hyphen, as YAML reads it
            data = {**data, "path": "-"}
        if isinstance(paths := data.get("path"), list | tuple):
            # ValueError: of pydantic's own kind, so that it is reported like every other wrong value.
            raise ValueError(f"path: a run reads one file, found a list of {len(paths)}; {ONE_FILE}")  # noqa: TRY004
        if data.get("kind", SourceKind.SYNTHETIC) != SourceKind.SYNTHETIC:
            return {"producers": 1, **data}
        mutation = data.get("mutation", {})
        if data.get("reference") is not None and isinstance(mutation, dict):
            return {**data, "mutation": {"gc_content": None, "low_complexity_fraction": 0.0, **mutation}}
        return data

    @model_validator(mode="after")
    def _kind_and_files(self) -> SourceConfig:
        if self.kind is SourceKind.SYNTHETIC:
            if self.path is not None:
                raise ValueError(
                    "path: a synthetic source makes its reads, from windows of reference if that is set; "
                    "remove path, or set kind to fastq, fasta or pairs"
                )
            gc_content, low_complexity = self.mutation.gc_content, self.mutation.low_complexity_fraction
            if self.reference is not None and (gc_content is not None or low_complexity > 0):
                raise ValueError(
                    "mutation: windows of a reference are taken as they are; set mutation.gc_content to null and "
                    f"mutation.low_complexity_fraction to 0, found {gc_content} and {low_complexity}"
                )
            return self
        if self.path is None:
            raise ValueError(f"path: source.kind {self.kind.value} needs the file to read")
        if self.kind in (SourceKind.FASTQ, SourceKind.FASTA) and self.reference is None:
            raise ValueError(f"reference: {self.kind.value} reads must be placed on a reference; name its FASTA file")
        if self.kind is SourceKind.PAIRS and self.reference is not None:
            raise ValueError("reference: pairs carry their own window; remove reference")
        if self.producers != 1:
            raise ValueError(f"producers: a file has one producer, found {self.producers}; set 1 or remove the key")
        return self

    @property
    def input_file(self) -> str | None:
        """The file whose content the reads carry: the reads' own, or the reference of synthetic windows."""
        return self.path if self.path is not None else self.reference


class QueueConfig(Section):
    capacity: Annotated[int, Field(ge=1, le=500)] = 500
    low_watermark: Annotated[int, Field(ge=0, le=499)] = 100
    lease_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 120.0

    @model_validator(mode="after")
    def _watermarks(self) -> QueueConfig:
        if self.low_watermark >= self.capacity:
            raise ValueError(f"low_watermark: must be below capacity {self.capacity}, found {self.low_watermark}")
        return self


FROZEN_ANALYZER_KEYS = (
    "backend", "model", "reads_per_request", "prompt", "examples", "work", "reasoning_effort", "max_completion_tokens", "service_tier",
    "seed",
)  # fmt: skip
"""They say what answers, and what it is asked."""

LEAST_TOKENS_PER_READ = 40
"""Of an answer about several reads: one call is about 25 tokens, a read's id and frame about 15."""


Layout = Literal[
    "raw", "spaced", "grouped10", "indexed10", "paired_indexed", "assisted_aligned", "indexed10_v2", "ref_indexed10", "context"
]  # fmt: skip
SHIPPED, OWN = "[shipped]", "[own]"
"""Tags of the two kinds of ``analyzer.prompt``, which no message shows."""


class OwnPrompt(Section):
    """A prompt of the user's. ``loading`` reads it from the file that ``analyzer.prompt`` names; it is stored with the run, whole."""

    name: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[\w.:+-]+$")]
    layout: Layout
    instructions: Annotated[str, Field(min_length=1, max_length=20_000)]

    @model_validator(mode="after")
    def _name_of_its_own(self) -> OwnPrompt:
        if self.name in get_args(Layout):
            raise ValueError(f"name: '{self.name}' is a shipped prompt; choose another name, under which its results are stored")
        return self


def prompt_name(stored: object) -> str:
    """Of ``analyzer.prompt`` in a stored configuration: a shipped one's name, or the section of one of the user's own."""
    return str(stored.get("name") if isinstance(stored, dict) else stored)


class AnalyzerConfig(Section):
    backend: Annotated[Backend, Field(strict=False)] = Backend.EMULATOR
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    requests_in_flight: Annotated[int, Field(ge=1, le=1024)] = 32  # per worker
    reads_per_request: Annotated[int, Field(ge=1, le=50)] = 1
    model: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^\S+$")] = "openai/gpt-oss-20b"
    prompt: Annotated[
        Annotated[Layout, Tag(SHIPPED)] | Annotated[OwnPrompt, Tag(OWN)],
        Discriminator(lambda value: OWN if isinstance(value, dict | OwnPrompt) else SHIPPED),
    ] = "indexed10"
    examples: Annotated[int, Field(ge=0, le=4)] = 0
    work: bool = False
    reasoning_effort: Literal["none", "default", "low", "medium", "high"] = "low"
    max_completion_tokens: Annotated[int, Field(ge=16, le=65536)] = 512
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None  # None: the run's
    service_tier: RequestedTier = "on_demand"
    on_capacity_exceeded: Literal["wait", "on_demand"] = "wait"  # what a 498 of the flex tier leads to
    base_url: HttpAddress | None = None  # short for provider.base_url
    request_timeout_s: Annotated[float, Field(ge=1, le=600)] = 60.0

    @property
    def prompt_name(self) -> str:
        return self.prompt if isinstance(self.prompt, str) else self.prompt.name

    @model_validator(mode="after")
    def _room_and_address(self) -> AnalyzerConfig:
        reads, tokens, least = self.reads_per_request, self.max_completion_tokens, LEAST_TOKENS_PER_READ * self.reads_per_request
        if reads > 1 and tokens < least:
            raise ValueError(
                f"max_completion_tokens: {tokens} is too few for {reads} reads: answers would be cut off and paid for again; "
                f"at least {LEAST_TOKENS_PER_READ} a read, so {least} or more"
            )
        if (fault := fault_of(self.base_url)) is not None:
            raise ValueError(f"base_url: {fault}")
        return self


MOST_COST_USD = 1_000_000


class ThrottleConfig(Section):
    requests_per_minute: PositiveInt | None = None
    requests_per_day: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    tokens_per_day: PositiveInt | None = None
    input_tokens_per_minute: PositiveInt | None = None
    output_tokens_per_minute: PositiveInt | None = None
    safety_factor: Annotated[float, Field(gt=0, le=1)] = 1.0
    on_daily_limit: Literal["park", "stop"] = "park"
    adaptive_concurrency: bool = True
    max_cost_usd: Annotated[float, Field(gt=0, le=MOST_COST_USD)] = 1.0


class RetryConfig(Section):
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    base_delay_s: PositiveFloat = 0.5
    max_delay_s: PositiveFloat = 30.0
    max_share: Annotated[float, Field(gt=0, le=1)] = 0.10  # of all sends that may be retries of failures

    @model_validator(mode="after")
    def _delays(self) -> RetryConfig:
        if self.max_delay_s < self.base_delay_s:
            raise ValueError(f"max_delay_s: must be at least base_delay_s {self.base_delay_s}, found {self.max_delay_s}")
        return self


class SinkConfig(Section):
    database: Literal["embedded", "external"] = "embedded"
    batch_size: Annotated[int, Field(ge=1, le=10_000)] = 500
    flush_interval_s: Annotated[float, Field(gt=0, le=60)] = 0.5
    statement_timeout_s: Annotated[float, Field(gt=0, le=600)] = 30.0
    outage_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 3600.0


class NotifyConfig(Section):
    url: Annotated[str, Field(pattern=r"^https?://[^\s@]+$", max_length=2000)] | None = None


class RayConfig(Section):
    address: Annotated[str, Field(pattern=r"^(auto|[^\s/]+:\d{1,5})$")] | None = None  # None: a Ray of the run's own, on this machine
    namespace: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]{0,62}$")] = "helix"
    analyzer_cpus: Annotated[float, Field(ge=0.001, le=1024)] = 0.01  # that an analyzer asks for on a cluster; 0 would not be spread
    analyzer_labels: dict[str, str] = Field(default_factory=dict)  # of the nodes where analyzers may live
    start_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120.0
    silence_s: Annotated[float, Field(gt=0, le=3600)] | None = None  # None: 60, on a cluster 180
    dashboard: bool = True
    dashboard_port: Annotated[int, Field(ge=1024, le=65535)] | None = None  # None: 8265, or the next free one
    object_store_mb: Annotated[int, Field(ge=80, le=100_000)] = 100


class Config(Section):
    """One run, whole."""

    run: RunConfig = RunConfig()
    source: SourceConfig = SourceConfig()
    queue: QueueConfig = QueueConfig()
    analyzer: AnalyzerConfig = AnalyzerConfig()
    provider: ProviderConfig = ProviderConfig()
    routes: list[dict[str, str]] | None = None
    throttle: ThrottleConfig = ThrottleConfig()
    retry: RetryConfig = RetryConfig()
    sink: SinkConfig = SinkConfig()
    emulator: EmulatorConfig = EmulatorConfig()
    notify: NotifyConfig = NotifyConfig()
    ray: RayConfig = RayConfig()

    @model_validator(mode="after")
    def _across_sections(self) -> Config:
        if self.analyzer.model.startswith("openai/gpt-oss") and self.analyzer.reasoning_effort in ("none", "default"):
            raise ValueError(
                f"analyzer.reasoning_effort: {self.analyzer.model} takes low, medium or high, found {self.analyzer.reasoning_effort}"
            )
        if self.source.batch_size > self.queue.capacity:
            raise ValueError(f"source.batch_size: a batch of {self.source.batch_size} reads never fits a queue of {self.queue.capacity}")
        if self.routes is not None:
            raise ValueError("routes: more than one provider in a run is not built yet; remove the key")
        self._check_provider()
        if self.sends_files_outside and not self.source.allow_external:
            raise ValueError(
                f"source.allow_external: reads from a file would leave this machine for {self.provider_url}; "
                "set it to true if you may send them, or use backend aligner or emulator, or a server on this machine"
            )
        self._check_cluster()
        return self

    def _check_cluster(self) -> None:
        ray = self.ray
        if ray.address is None:
            if ray.analyzer_labels or ray.analyzer_cpus != RayConfig().analyzer_cpus:
                raise ValueError("ray.analyzer_cpus, ray.analyzer_labels: place analyzers on a cluster; set ray.address, or remove them")
        elif self.sink.database != "external":
            raise ValueError("sink.database: on a cluster (ray.address) it must be external; set DATABASE_URL to one that all nodes reach")
        elif self.analyzer.backend.simulated:
            raise ValueError(
                "analyzer.backend: a run on a cluster (ray.address) starts no emulator, found emulator; start `helix emulator --host` "
                "where all nodes reach it, and use backend groq with provider.base_url"
            )
        elif ray.dashboard_port is not None:
            raise ValueError("ray.dashboard_port: the dashboard of a cluster (ray.address) is the cluster's; remove the key")

    def _check_provider(self) -> None:
        asking, provider = self.analyzer, self.provider
        if not asking.backend.asks_provider:
            if asking.base_url is not None:
                raise ValueError(f"analyzer.base_url: only backend groq talks to an address; backend is {asking.backend.value}")
            if provider != ProviderConfig():
                raise ValueError(f"provider: only backend groq asks a provider; backend is {asking.backend.value}: remove the section")
        elif None not in (asking.base_url, provider.base_url) and asking.base_url != provider.base_url:
            raise ValueError(f"analyzer.base_url: provider.base_url names another address, {provider.base_url}; keep one of them")
        elif address_of(provider.name, provider.base_url or asking.base_url) is None:
            raise ValueError(f"provider.base_url: {provider.name} has no address of its own; name the one that its documentation prints")
        elif asking.service_tier != "on_demand" and provider.name != "groq":
            raise ValueError(f"analyzer.service_tier: only groq has the tier {asking.service_tier}, and the provider is {provider.name}")

    @property
    def provider_url(self) -> str:
        """Where backend groq asks: nothing but the resource is appended."""
        return address_of(self.provider.name, self.provider.base_url or self.analyzer.base_url) or ""

    @property
    def asks_groq(self) -> bool:
        """Groq itself answers, so that what it publishes holds."""
        return self.analyzer.backend.asks_provider and self.provider_url == ADDRESSES["groq"]

    @property
    def provider_name(self) -> str | None:
        """Who answers, for people and tables; None: no API is asked."""
        return self.provider.name if self.analyzer.backend.asks_provider else "emulator" if self.analyzer.backend.simulated else None

    @property
    def sends_files_outside(self) -> bool:
        """Reads of a file go to an API that is not on this machine."""
        return self.source.input_file is not None and self.analyzer.backend.asks_provider and not is_loopback(self.provider_url)

    def to_json(self) -> str:
        """Canonical JSON: what is stored with the run. It holds no secret (`notify` may be one) and not the run's id."""
        return json.dumps(self.model_dump(mode="json", exclude={"run": {"id"}, "notify": True}), sort_keys=True, separators=(",", ":"))

    def public(self) -> Config:
        """Without the address of notifications, which may hold a secret: for actors and exports."""
        return self.model_copy(update={"notify": NotifyConfig()})

    def sha256(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def results_identity(self) -> dict[str, object]:
        """What defines the results, and so must not change when a run is resumed."""
        source = self.source.model_dump(mode="json")
        for paced in ("rate_per_s", "producers", "batch_size", "allow_external", "copy_limit_mb"):
            source.pop(paced)  # how fast, not what
        mutation, analyzer = source.pop("mutation"), self.analyzer.model_dump(mode="json")
        return {
            **{f"source.{key}": value for key, value in source.items()},
            **{f"source.mutation.{key}": value for key, value in mutation.items()},
            "run.seed": self.run.seed,
            **{f"analyzer.{key}": analyzer[key] for key in FROZEN_ANALYZER_KEYS},
            **{f"provider.{key}": getattr(self.provider, key) for key in ("name", "structured_output", "parameters")},
        }
