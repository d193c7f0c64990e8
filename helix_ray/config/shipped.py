"""The configurations that come with the package."""

from __future__ import annotations

from pathlib import Path

from helix_ray.errors import ConfigError


def shipped_configs() -> dict[str, Path]:
    """Paths by name, sorted: those of configs/ in a source tree, or of the copy inside the installed package."""
    package = Path(__file__).resolve().parents[1]
    in_tree = package.parent / "configs"
    folder = in_tree if in_tree.is_dir() else package / "_configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def shipped_config(name: str) -> Path:
    """The path of one of them. ConfigError names those that there are."""
    configs = shipped_configs()
    if name not in configs:
        raise ConfigError("helix configs", [f"no configuration is named {name!r}; there are {', '.join(configs)}"])
    return configs[name]
