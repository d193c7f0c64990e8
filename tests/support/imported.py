"""What a process imports, by its own account: no clock is needed to see that a command is cheap."""

PROFILED = {"PYTHONPROFILEIMPORTTIME": "1"}
"""In the environment of the process; it then says on its standard error what it imports."""

HEAVY = frozenset({"aiohttp", "groq", "httpx", "numpy", "psycopg", "pyarrow", "pysam", "scipy", "streamlit", "uvicorn"})
"""Each takes 0.1 to 1 s of CPU."""


def imported(stderr: str) -> set[str]:
    """Top-level packages."""
    found = {line.rpartition("|")[2].strip().partition(".")[0] for line in stderr.splitlines() if line.startswith("import time:")}
    assert "helix_ray" in found
    return found
