"""A run's exported results in the hands of Debian's tools."""

import subprocess
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from helix_ray.results.export import Format
from helix_ray.results.export.vcf import has_window, valid_calls
from support.exported_results import exported
from support.scored_results import scored_results

RESULTS = [replace(found, read=found.read._replace(read_id=f"hx{found.read.read_index}")) for found in scored_results(400, seed=7)]
KEPT = [result for result in RESULTS if has_window(result)]
pytestmark = pytest.mark.debian


def tool(*arguments: object) -> str:
    """Runs a program; what it printed. Its failure is the test's, with its words, and so is any warning."""
    done = subprocess.run(list(map(str, arguments)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{arguments[0]}: {done.stderr[-2000:]}"
    assert "[W::" not in done.stderr, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tools")
    exported(made, RESULTS, Format.CALLS_VCF, Format.GA4GH, Format.REFERENCE)
    return made


@pytest.mark.parametrize("name", ["calls.vcf.gz", "scored.vcf.gz"])
def test_bcftools_and_tabix_read_them_and_every_ref_is_what_the_window_holds(name: str, folder: Path) -> None:
    path = folder / name
    tool("bgzip", "-t", path)
    whole = tool("bcftools", "view", "-H", path).splitlines()
    assert len(whole) > len(KEPT)
    assert tool("bcftools", "norm", "-c", "e", "-f", folder / "reference.fa", path).count("\n") > len(whole)
    read = next(result.read for result in KEPT if valid_calls(result))
    region = f"{read.read_id}:1-{len(read.ref_seq)}"
    assert tool("tabix", path, region) == tool("bcftools", "view", "-H", "-r", region, path) != ""


def test_decisions_can_be_counted_with_bcftools(folder: Path) -> None:
    found = Counter(tool("bcftools", "query", "-f", "[%SAMPLE\t%BD\t%HD\n]", folder / "scored.vcf.gz").splitlines())
    expected: Counter[str] = Counter()
    for result in KEPT:
        if result.read.truth is not None:
            expected.update(f"TRUTH\t{row.match}\t{row.detail}" for row in result.variants if row.side == "truth")
            expected.update(f"QUERY\t{row.match}\t{row.detail}" for row in valid_calls(result))
    del found["TRUTH\t.\t."], found["QUERY\t.\t."]
    assert found == expected
    calls = tool("bcftools", "query", "-i", 'MATCH="FP" && QUAL>=10', "-f", "%CHROM\n", folder / "calls.vcf.gz").splitlines()
    sure = [
        row for result in KEPT for row in valid_calls(result) if row.match == "FP" and row.confidence is not None and row.confidence >= 0.9
    ]
    assert len(calls) == len(sure) > 0
