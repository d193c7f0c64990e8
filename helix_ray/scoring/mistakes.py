"""Error rates of a model, as its answers show them."""

from __future__ import annotations

from typing import Any

from helix_ray.scoring.near import REACH
from helix_ray.scoring.summary import rate
from helix_ray.scoring.tally import Counts

MISTAKES = {
    "missed": "variants with no call near them",
    "misplaced": f"variants called 1 to {REACH} bases off",
    "misnamed": "right place, other alleles",
    "invented": "reads with an invented call",
    "misread": "calls that are sequencing errors",
}
"""The rates of `mistake_rates`, in words."""


def mistake_rates(counts: Counts, invented: int, answered: int) -> dict[str, dict[str, Any]]:
    """Of the counts over all types, and of how many of the answered reads have an invented call.

    Each with its 95 % Jeffreys interval. Reads without an answer are left out, since they say nothing of how the model reads.

    ``missed``: truths where nothing was called within 5 bases. ``misplaced``: truths that were called 1 to 5 bases off, whatever
    the alleles. ``misnamed``: truths whose place was called with other alleles. ``invented``: reads with a call that no truth and no
    sequencing error is near to. ``misread``: calls that name a sequencing error, which is there to be seen and no mutation.
    """
    truths = counts.tp + counts.fn - counts.fn_failed
    missed = counts.fn - counts.fn_failed - counts.fn_near - counts.fn_allele
    return {
        "missed": rate(missed, truths),
        "misplaced": rate(counts.fn_near, truths),
        "misnamed": rate(counts.fn_allele, truths),
        "invented": rate(invented, answered),
        "misread": rate(counts.fp_error, counts.query_tp + counts.fp),
    }
