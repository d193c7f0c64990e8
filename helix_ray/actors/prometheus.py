"""The counters once more as Ray gauges, for Prometheus: ``ray_helix_<counter>{actor="helix-queue"}``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from ray.util.metrics import Gauge

UNMIRRORED = re.compile(r"score\.(?!type\.)")
"""Scores by every dimension but the type of variant: hundreds of names, which the report and the page have."""

MAX_GAUGES = 200
"""Names come from our own code; the bound keeps a mistake there from growing Prometheus without end."""


class GaugeMirror:
    """Creates each gauge when its counter is first seen. Tags hold the actor's name only, never anything of a read."""

    def __init__(self, actor: str) -> None:
        self._tags = {"actor": actor}
        self._gauges: dict[str, Gauge] = {}

    def show(self, counters: Mapping[str, float]) -> None:
        for name, value in counters.items():
            if not math.isfinite(value) or UNMIRRORED.match(name):
                continue
            gauge = self._gauges.get(name)
            if gauge is None:
                if len(self._gauges) >= MAX_GAUGES:
                    continue
                gauge = self._gauges[name] = Gauge(f"helix_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}", tag_keys=("actor",))
            gauge.set(float(value), self._tags)
