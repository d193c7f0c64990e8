"""What any other process uses: find the run, attach, look, command, ask the database, start a run.

client = attach(helix_home())          # AttachError: there is no live run
print(client.snapshot().state)
client.send(command(Action.PAUSE, actor="cli:alice"))
client.close()
"""

from helix_ray.client.client import CLUSTER, CONTROL_CODE, HelixClient, Launch, attach, command, control_token, take_control_code
from helix_ray.client.dry_run import DryRun
from helix_ray.environment.home import helix_home
from helix_ray.environment.shipped import shipped_configs

__all__ = [
    "CLUSTER", "CONTROL_CODE", "DryRun", "HelixClient", "Launch", "attach", "command", "control_token", "helix_home", "shipped_configs",
    "take_control_code",
]  # fmt: skip
