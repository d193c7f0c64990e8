"""The JSON schema of an answer, in the provider's strict form: every property required, nothing else allowed.

Calls are anchored as in VCF, since the anchor lets us check the claim against the sequence. There is no ``type``: it is
derived from the alleles.
"""

from __future__ import annotations

import hashlib
import json
from functools import cache
from typing import Any, Final, NamedTuple

SCHEMA_NAME: Final = "mutation_calls"

_TEXT = {"type": "string"}


class AnswerSchema(NamedTuple):
    text: str  # canonical JSON
    sha256: str  # of text
    response_format: dict[str, Any]  # as the API takes it


@cache
def answer_schema(packed: bool, work: bool, excerpts: bool = False) -> AnswerSchema:
    """``{"id", "calls"}`` for one read, ``{"reads": [{"id", "calls"}]}`` for several; ``work`` comes first in each.

    ``excerpts``: a call says what stands in the window and in the read, without a position.
    """
    alleles = {"ref": _TEXT, "read": _TEXT} if excerpts else {"pos": {"type": "integer"}, "ref": _TEXT, "alt": _TEXT}
    call = _object({**alleles, "confidence": {"type": "number"}})
    read = _object({**({"work": _TEXT} if work else {}), "id": _TEXT, "calls": {"type": "array", "items": call}})
    schema = _object({"reads": {"type": "array", "items": read}}) if packed else read
    text = json.dumps(schema, sort_keys=True, separators=(",", ":"))
    response_format = {"type": "json_schema", "json_schema": {"name": SCHEMA_NAME, "strict": True, "schema": schema}}
    return AnswerSchema(text, hashlib.sha256(text.encode()).hexdigest(), response_format)


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "required": list(properties), "properties": properties}
