"""The values that travel through the pipeline. Plain data, no behaviour beyond reshaping.

Coordinates follow VCF: a variant's ``pos`` is 1-based within the reference window (``ref_seq``), alleles are upper-case
ACGT(N), indels carry one anchor base. ``ref_start`` is 0-based on the contig, so a genomic VCF position is
``ref_start + pos``. Money is ``Decimal`` US dollars; durations carry their unit in the name.
"""

from helix_ray.records.calls import (
    FAILURE_KINDS,
    NOT_THE_API,
    ApiCall,
    CallState,
    Intent,
    PastUse,
    Receipt,
    Refused,
    ServiceTier,
    StoredAnswer,
    TokenUsage,
    failure_kind,
)
from helix_ray.records.reads import LEFT_OUT, Disposition, PackedRead, Read, ReadBatch, Variant, left_out, why_left_out
from helix_ray.records.results import ReadResult, ScoredVariant
from helix_ray.records.runs import Ack, Action, AnalyzerEnd, Command, ControlEvent, ControlOutcome, DesiredState, JsonObject, RunStatus
