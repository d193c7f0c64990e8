"""The configuration of a run: its shape, its sources, its errors."""

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.config.mutation import MutationConfig
from helix_ray.config.schema import (
    LEAST_TOKENS_PER_READ,
    ONE_FILE,
    AnalyzerConfig,
    Backend,
    Config,
    QueueConfig,
    RayConfig,
    RetryConfig,
    RunConfig,
    SinkConfig,
    SourceConfig,
    SourceKind,
    ThrottleConfig,
    not_built_yet,
)

__all__ = [
    "LEAST_TOKENS_PER_READ",
    "ONE_FILE",
    "AnalyzerConfig",
    "Backend",
    "Config",
    "EmulatorConfig",
    "MutationConfig",
    "QueueConfig",
    "RayConfig",
    "RetryConfig",
    "RunConfig",
    "SinkConfig",
    "SourceConfig",
    "SourceKind",
    "ThrottleConfig",
    "not_built_yet",
]
