"""The names by which actors find each other, in one Ray namespace. A cluster holds one live run."""

NAMESPACE = "helix"

METRICS = "helix-metrics"
CONTROL = "helix-control"
QUEUE = "helix-queue"
THROTTLE = "helix-throttle"
SINK = "helix-sink"


def producer(index: int) -> str:
    return f"helix-producer-{index}"


def analyzer(index: int) -> str:
    return f"helix-analyzer-{index}"
