"""Machines of their own on one bridge, made of network, PID and mount namespaces: for clusters of Ray. Needs root and iproute2."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

import helix_ray

PACKAGE = Path(helix_ray.__file__).resolve().parent
GCS_PORT = 6379


def possible() -> bool:
    return os.geteuid() == 0 and all(shutil.which(name) for name in ("ip", "unshare", "nsenter"))


class Machine:
    """Its processes see each other, its own network and what is below ``private``; the other files are those of this machine."""

    def __init__(self, address: str, private: Sequence[Path]) -> None:
        self.address = address
        hidden = "".join(f"mkdir -p {path} && mount -t tmpfs -o mode=755 tmpfs {path} && " for path in private)
        script = f"{hidden}ip link set lo up && echo up && exec sleep infinity"
        self._holder = subprocess.Popen(
            ["unshare", "--net", "--pid", "--fork", "--mount", "--mount-proc", "--kill-child", "sh", "-c", script],
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._holder.stdout is not None
        with self._holder.stdout as said:
            assert said.readline() == b"up\n"
        (init,) = psutil.Process(self._holder.pid).children()
        self.init = init.pid
        self.cable = ""

    def command(self, *words: str) -> list[str]:
        """The command line that runs these words on the machine."""
        return ["nsenter", f"--target={self.init}", "--net", "--pid", "--mount", f"--wd={Path.cwd()}", "--", *words]

    def call(self, *words: str, env: Mapping[str, str] | None = None, timeout_s: float = 120.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            env=env and dict(env),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def start(self, *words: str, env: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as out:
            return subprocess.Popen(
                self.command(*words), env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
            )

    def path(self, inside: Path) -> Path:
        """How this process gets at a file of the machine."""
        return Path(f"/proc/{self.init}/root{inside}")

    def processes(self) -> list[psutil.Process]:
        """All of the machine, however they were started."""
        here = Path(f"/proc/{self.init}/ns/pid").readlink()
        found = []
        for process in psutil.process_iter():
            try:
                if Path(f"/proc/{process.pid}/ns/pid").readlink() == here:
                    found.append(process)
            except OSError:
                continue
        return found

    def kill(self) -> None:
        """Every process of the machine at once, as a power cut does. Safe twice."""
        self._holder.send_signal(signal.SIGKILL)
        self._holder.wait(30)


class Cluster:
    """Machines on one bridge, and Ray on them: the first is the head. ``address`` is that of this machine on the bridge."""

    def __init__(self, folder: Path, private: Path) -> None:
        self.folder = folder
        number = 20 + os.getpid() % 200  # several may be tested at once
        self._private = (Path("/tmp/ray"), private)
        self._bridge, self._net = f"helixbr{number}", f"10.{number}.0"
        self.address = f"{self._net}.254"
        self.machines: list[Machine] = []  # with Ray
        self._all: list[Machine] = []
        self._token = folder / "token"
        self._token.write_text(secrets.token_hex(32))
        self._token.chmod(0o600)

    def __enter__(self) -> Cluster:
        self._unplug(self._bridge)
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("address", "add", f"{self.address}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for machine in self._all:
            machine.kill()
            self._unplug(machine.cable)  # the kernel takes its time with a namespace that nothing uses
        self._unplug(self._bridge)

    @property
    def gcs(self) -> str:
        return f"{self.machines[0].address}:{GCS_PORT}"

    def environment(self, **more: str) -> dict[str, str]:
        """What a process on a machine needs to be let in; no secret of a run is among it."""
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(PACKAGE.parent),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self._token),
            "RAY_USAGE_STATS_ENABLED": "0",
            **more,
        }

    def connect(self, number: int) -> Machine:
        """One more machine on the bridge, without Ray."""
        machine = Machine(f"{self._net}.{number}", self._private)
        self._all.append(machine)
        machine.cable = f"{self._bridge}.{number}"
        self._unplug(machine.cable)
        _ip("link", "add", machine.cable, "type", "veth", "peer", "name", "eth0", "netns", str(machine.init))
        _ip("link", "set", machine.cable, "master", self._bridge, "up")
        for words in (("address", "add", f"{machine.address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            assert machine.call("ip", *words).returncode == 0
        return machine

    def add(self, *options: str, changed: str | None = None) -> Machine:
        """One more machine with a node of the cluster. ``changed``: a file of the package that differs there."""
        number = len(self.machines) + 1
        machine = self.connect(number)
        self.machines.append(machine)
        if changed is not None:
            other = self.folder / "changed.py"
            other.write_text((PACKAGE / changed).read_text() + "\nCHANGED = True\n")
            assert machine.call("mount", "--bind", str(other), str(PACKAGE / changed)).returncode == 0
        role = ("--head", f"--port={GCS_PORT}", "--dashboard-host=127.0.0.1") if number == 1 else (f"--address={self.gcs}",)
        common = (f"--node-ip-address={machine.address}", "--object-store-memory=80000000", "--disable-usage-stats")
        started = machine.call("ray", "start", *role, *common, *options, env=self.environment())
        assert started.returncode == 0, started.stdout + started.stderr
        return machine

    @staticmethod
    def _unplug(name: str) -> None:
        subprocess.run(["ip", "link", "delete", name], check=False, capture_output=True)

    def plug(self, machine: Machine, state: str) -> None:
        """``down`` cuts the machine off, ``up`` brings it back."""
        _ip("link", "set", machine.cable, state)


def _ip(*words: str) -> Any:
    subprocess.run(["ip", *words], check=True, capture_output=True)
