"""What of the surroundings reaches each part: of a hundred foreign variables none, of those that it needs all."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from helix_ray.environment.secrets import NAMES
from helix_ray.environment.variables import for_page, for_postgres, for_psql, for_python, for_ray, only, set_for_ray

NAMES_AROUND = (
    "PGHOSTADDR PGSERVICE PGOPTIONS PGDATESTYLE PGSSLNEGOTIATION PGDATA PSQLRC "
    "PYTHONSTARTUP PYTHONINSPECT PYTHONWARNINGS PYTHONOPTIMIZE PYTHONBREAKPOINT PYTHONDEVMODE PYTHONIOENCODING "
    "STREAMLIT_SERVER_PORT STREAMLIT_SERVER_BASE_URL_PATH STREAMLIT_THEME_BASE LD_PRELOAD LD_AUDIT DYLD_INSERT_LIBRARIES "
    "CONDA_PREFIX CONDA_DEFAULT_ENV VIRTUAL_ENV UV UV_PROJECT SLURM_JOB_ID SLURM_TMPDIR NXF_TASK_WORKDIR NXF_HOME PBS_JOBID "
    "OMP_NUM_THREADS CUDA_VISIBLE_DEVICES GRPC_VERBOSITY grpc_proxy AWS_SECRET_ACCESS_KEY"
)
FOREIGN = {name: f"/foreign/{name}" for name in NAMES_AROUND.split()}
OF_A_RAY_JOB = {"RAY_JOB_CONFIG_JSON_ENV_VAR": '{"runtime_env": {"working_dir": "/nonexistent"}}', "RAY_ADDRESS": "10.0.0.1:6379"}
SECRETS = {**dict.fromkeys(NAMES, "a-secret"), "OPENAI_API_KEY": "a-secret", "OPENAI_API_KEY_FILE": "/run/secrets/key"}
SHELL = {"PATH": "/bin", "HOME": "/home/me", "TMPDIR": "/scratch", "LANG": "de_DE.UTF-8", "LC_CTYPE": "C.UTF-8", "TERM": "xterm"}
PROGRAM = {"PATH": "/bin", "TMPDIR": "/scratch"}
USER = {name: value for name, value in SHELL.items() if name != "TERM"}
CODE = {"PYTHONPATH": "/lib/of/mine", "PYTHONNOUSERSITE": "1", "LD_LIBRARY_PATH": "/opt/python/lib", "HELIX_HOME": "/runs"}
NETWORK = {"https_proxy": "http://p:1", "HTTP_PROXY": "http://p:1", "NO_PROXY": "lab", "SSL_CERT_FILE": "/ca", "PGSSLROOTCERT": "/ca"}
OF_OURS = {"RAY_AUTH_MODE": "token"}
EVERYTHING = {**FOREIGN, **SECRETS, **SHELL, **CODE, **NETWORK, **OF_OURS}
FOR_LIBPQ = {name: value for name, value in FOREIGN.items() if name.startswith("PG")}  # until the embedded server is asked for


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (for_postgres, {**PROGRAM, "LC_ALL": "C", "TZ": "UTC"}),
        (for_python, {**USER, **CODE}),
        (for_ray, {**USER, **CODE, **NETWORK, **OF_OURS, **FOR_LIBPQ}),
        (for_page, {**SHELL, **CODE, **NETWORK, **SECRETS, **FOR_LIBPQ}),
        (for_psql, {**SHELL, "PGSSLROOTCERT": "/ca", "SSL_CERT_FILE": "/ca", **FOR_LIBPQ}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_part_gets_what_it_needs(part: Callable[[dict[str, str]], dict[str, str]], expected: dict[str, str]) -> None:
    found = part(EVERYTHING)
    found["PYTHONPATH"] = found.get("PYTHONPATH", "").rpartition(os.pathsep)[2]  # without the package's own folder
    assert {name: value for name, value in found.items() if value} == expected
    assert "PATH" not in part({})


def test_a_container_may_name_its_user_by_a_library() -> None:
    wrapper = {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": "/p", "NSS_WRAPPER_GROUP": "/g"}
    assert for_postgres(wrapper) == {**wrapper, "LC_ALL": "C", "TZ": "UTC"}


def test_an_interpreter_starts_whatever_is_around_it() -> None:
    """PYTHONINSPECT would keep it from ending, LD_PRELOAD and PYTHONWARNINGS write to its standard error."""
    code = "import os, helix_ray; print(*sorted(name for name in os.environ if name.startswith(('CONDA', 'SLURM', 'PYTHONI'))))"
    around = {**os.environ, **FOREIGN, "PYTHONINSPECT": "1"}
    command, environment = [sys.executable, "-P", "-c", code], for_python(around)
    done = subprocess.run(command, env=environment, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "\n", "")


def test_ray_is_given_our_settings_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {**SHELL, **OF_A_RAY_JOB})
    set_for_ray(RAY_AUTH_MODE="token")
    assert os.environ == {**SHELL, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


def test_inside_there_is_only_what_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDA_PREFIX", "/conda")
    before = dict(os.environ)
    with pytest.raises(KeyError), only({"PATH": "/bin"}):
        assert dict(os.environ) == {"PATH": "/bin"}
        os.environ["RAY_SET_BY_ITSELF"] = "1"
        raise KeyError
    assert os.environ.pop("RAY_SET_BY_ITSELF") == "1"
    assert dict(os.environ) == before
