"""The configuration of a run: its shape, its sources, its errors."""

from helix_ray.config.schema import (
    ONE_FILE,
    AnalyzerConfig,
    Backend,
    Config,
    NotifyConfig,
    QueueConfig,
    RayConfig,
    RetryConfig,
    SinkConfig,
    SourceConfig,
    SourceKind,
    ThrottleConfig,
)
