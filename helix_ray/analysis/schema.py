"""The JSON schema of an answer, in the provider's strict form: every property required, nothing else allowed.

Calls are anchored as in VCF, since the anchor lets us check the claim against the sequence. There is no ``type``: it is
derived from the alleles.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

ANSWER_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id", "calls"],
    "properties": {
        "id": {"type": "string"},
        "calls": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["pos", "ref", "alt", "confidence"],
                "properties": {
                    "pos": {"type": "integer"},
                    "ref": {"type": "string"},
                    "alt": {"type": "string"},
                    "confidence": {"type": "number"},
                },
            },
        },
    },
}

SCHEMA_NAME: Final = "mutation_calls"

RESPONSE_FORMAT: Final[dict[str, Any]] = {
    "type": "json_schema",
    "json_schema": {"name": SCHEMA_NAME, "strict": True, "schema": ANSWER_SCHEMA},
}

SCHEMA_TEXT: Final = json.dumps(ANSWER_SCHEMA, sort_keys=True, separators=(",", ":"))
SCHEMA_HASH: Final = hashlib.sha256(SCHEMA_TEXT.encode()).hexdigest()
