"""The shipped configurations, as files: `helix_ray.config` reads them."""

from __future__ import annotations

from pathlib import Path

from helix_ray.errors import ConfigError

FIRST = "endless"  # it can be operated, costs nothing and needs no key


def shipped_configs() -> dict[str, Path]:
    """Paths of the package's configurations by name, sorted, but `FIRST` before all.

    They are those of configs/ in a source tree, or of the copy in the installed package.
    """
    package = Path(__file__).resolve().parents[1]
    in_tree = package.parent / "configs"
    folder = in_tree if in_tree.is_dir() else package / "_configs"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"), key=lambda path: (path.stem != FIRST, path.stem))}


def shipped_config(name: str) -> Path:
    """The path of a shipped configuration. ConfigError names those that there are."""
    configs = shipped_configs()
    if name not in configs:
        raise ConfigError("helix configs", [f"no configuration is named {name!r}; there are {', '.join(configs)}"])
    return configs[name]
