"""What each node of a cluster must show before a run starts there, compared with the driver's node. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEAST_OPEN_FILES = 4096
"""File descriptors that a process may open: each request in flight of an analyzer is a socket, and Ray needs some hundred."""


@dataclass(frozen=True, slots=True)
class NodeProof:
    """What a process of ours on this node found. ``problems``: what it could not reach, in full sentences."""

    package: str  # SHA-256 over the installed package, in hexadecimal
    generator: str  # the version of the read generator
    open_files: int  # RLIMIT_NOFILE, soft
    problems: tuple[str, ...] = ()


def refusals(driver: NodeProof, proofs: Mapping[str, NodeProof | str]) -> list[str]:
    """Why a run may not use these nodes, one sentence each; empty: it may. A string in place of a proof says why there is none."""
    found = []
    for node, proof in proofs.items():
        if isinstance(proof, str):
            found.append(f"node {node}: no proof ({proof}); is the same helix-throttle installed there?")
            continue
        if proof.package != driver.package:
            both = f"its package is {proof.package[:12]} and the driver's is {driver.package[:12]}"
            found.append(f"node {node}: {both}; install the same one everywhere")
        elif proof.generator != driver.generator:
            found.append(f"node {node}: its generator version is {proof.generator} and the driver's is {driver.generator}")
        if proof.open_files < LEAST_OPEN_FILES:
            allowed = f"a process may open {proof.open_files} files"
            found.append(f"node {node}: {allowed}, at least {LEAST_OPEN_FILES} are needed; raise `ulimit -n`")
        found += [f"node {node}: {problem}" for problem in proof.problems]
    return found
