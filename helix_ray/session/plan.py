"""What a session needs to know of its run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.providers.prices import Tariff
from helix_ray.storage.ledger import RunRow

START_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class Plan:
    """A run that may start."""

    config: Config
    run_id: str
    home: Path
    database_url: Secret
    api_key: Secret | None
    row: RunRow
    simulated: bool  # the answers are an emulator's: ours, or one behind analyzer.base_url
    tariff: Tariff | None = None  # what tokens cost; None: the aligner, which sends no request
    resumed: bool = False
    rows_before: int = 0
    cost_before_usd: float = 0.0
