"""Who answered, asked what: the columns by which a row that has left its database still says where it comes from."""

from __future__ import annotations

from typing import TypedDict

from helix_ray.analysis.prompts import template_of
from helix_ray.config.loading import parse_config
from helix_ray.config.schema import Backend, prompt_name
from helix_ray.errors import ConfigError
from helix_ray.records import JsonObject

Provenance = TypedDict("Provenance", {  # noqa: UP013 (a table)
    "run_id": str, "run_name": str, "provider": str | None, "model": str | None, "prompt": str | None, "prompt_sha256": str | None,
    "task": str | None, "simulated": bool,
})  # fmt: skip
"""``provider`` to ``task`` are None where the aligner answered; ``prompt_sha256`` and ``task`` where the prompt is not known any more."""


COLUMNS = ("run_id", "run_name", "provider", "model", "prompt", "prompt_sha256", "task")
"""At the end of every row of an export, where the row has no such column yet; ``simulated`` stands at its beginning."""


def provenance(run_id: str, name: str, backend: str, config: JsonObject, *, simulated: bool) -> Provenance:
    """Of a stored run. Runs of earlier versions name no provider: there was Groq only."""
    analyzer, asked = config["analyzer"], backend != Backend.ALIGNER
    provider = {"groq": str(config.get("provider", {}).get("name", "groq")), "emulator": "emulator"}.get(backend)
    template = None
    if asked:
        try:
            template = template_of(parse_config({"analyzer": analyzer}, "stored configuration").analyzer)
        except ConfigError:
            template = None
    return {
        "run_id": run_id,
        "run_name": name,
        "provider": provider,
        "model": analyzer["model"] if asked else None,
        "prompt": prompt_name(analyzer["prompt"]) if asked else None,
        "prompt_sha256": None if template is None else template.sha256,
        "task": None if template is None else template.task,
        "simulated": simulated,
    }
