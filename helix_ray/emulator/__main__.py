"""The emulator as the child process of a run."""

import sys

from helix_ray.emulator.http import run_child

sys.exit(run_child())
