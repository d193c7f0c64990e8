"""One organization's limits: the buckets of each model and service tier, and the neighbour that shares them."""

from __future__ import annotations

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.buckets import BucketSet
from helix_ray.emulator.models import MODELS, Model
from helix_ray.emulator.neighbour import Neighbour
from helix_ray.emulator.tiers import limits_of


class Organization:
    def __init__(self, config: EmulatorConfig) -> None:
        self._config = config
        self._groups: dict[tuple[str, str], BucketSet] = {}
        self._neighbours: dict[str, Neighbour] = {}  # by model, for the on-demand tier

    def buckets(self, model: Model, service_tier: str) -> BucketSet:
        """Those of a model and ``on_demand`` or ``flex``."""
        key = (model.id, service_tier)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = BucketSet(limits_of(self._config, model, service_tier))
            if service_tier == "on_demand" and self._config.neighbour.share:
                self._neighbours[model.id] = Neighbour(self._config.neighbour)
        return group

    def catch_up(self, model: Model, now: float) -> None:
        """Sends what the neighbour would have sent of this model by ``now``. Call it before looking at the model's buckets."""
        neighbour = self._neighbours.get(model.id)
        if neighbour is not None:
            neighbour.catch_up(self._groups[model.id, "on_demand"], now)

    def change(self, config: EmulatorConfig, now: float) -> None:
        """Other limits and another neighbour, from ``now`` on."""
        before, self._config = self._config, config
        for (name, service_tier), group in self._groups.items():
            self.catch_up(MODELS[name], now)
            limits = limits_of(config, MODELS[name], service_tier)
            if limits != limits_of(before, MODELS[name], service_tier):
                group.change(limits, now)
            if service_tier == "on_demand" and config.neighbour != before.neighbour:
                self._neighbours.setdefault(name, Neighbour(config.neighbour)).change(config.neighbour, now)

    def breaches(self) -> list[str]:
        """Bounds that did not hold, which would be defects of the emulator."""
        return [f"{name}: {breach}" for name, group in self._named() for breach in group.breaches()]

    def settled_tokens(self) -> dict[tuple[str, str], int]:
        return {key: group.tokens_shown.settled for key, group in self._groups.items()}

    def summary(self, now: float) -> dict[str, object]:
        neighbours = {name: neighbour.summary() for name, neighbour in self._neighbours.items()}
        return {"buckets": {name: group.summary(now) for name, group in self._named()}, "neighbours": neighbours}

    def _named(self) -> list[tuple[str, BucketSet]]:
        return [(name if tier == "on_demand" else f"{name} {tier}", group) for (name, tier), group in self._groups.items()]
