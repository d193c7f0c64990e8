"""The limits of each tier, and the configuration's own limits on top of them."""

from __future__ import annotations

from typing import NamedTuple

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.models import Model

FLEX_FACTOR = 10  # flex processing has ten times the on-demand limits


class Limit(NamedTuple):
    kind: str  # of KINDS in windows.py
    amount: int
    enforced: bool  # False: shown in headers only


def limits_of(config: EmulatorConfig, model: Model, service_tier: str) -> list[Limit]:
    """The limits of one model in the order in which they are checked; kinds without a limit are absent.

    ``free`` is the published table (30 / 1K / 8K / 200K). ``developer`` has the published 1K RPM and the model's TPM; its
    RPD is not published, 500,000 is this emulator's choice, and it has no TPD. ``unlimited`` enforces nothing, but since
    Groq always sends the six headers, it shows large figures for RPD and TPM. No tier has ITPM or OTPM: some organizations do.
    A configured limit replaces the tier's; ``unlimited`` lifts configured limits too.
    """
    tiers: dict[str, dict[str, int]] = {
        "free": {"RPM": 30, "RPD": 1_000, "TPM": 8_000, "TPD": 200_000},
        "developer": {"RPM": 1_000, "RPD": 500_000, "TPM": model.developer_tpm},
        "unlimited": {"RPD": 1_000_000_000, "TPM": 1_000_000_000},
    }
    configured = {
        "RPM": config.requests_per_minute,
        "RPD": config.requests_per_day,
        "TPM": config.tokens_per_minute,
        "TPD": config.tokens_per_day,
        "ITPM": config.input_tokens_per_minute,
        "OTPM": config.output_tokens_per_minute,
    }
    factor = FLEX_FACTOR if service_tier == "flex" else 1
    unlimited = config.tier == "unlimited"
    limits = []
    for kind, own in configured.items():
        amount = tiers[config.tier].get(kind) if unlimited or own is None else own
        if amount is not None:
            limits.append(Limit(kind, amount * factor, not unlimited))
    return limits
