"""The generator against wgsim, a NumPy generator and the memory: reads a second of CPU time (user and system) on one core.

    .venv/bin/python benchmarks/bench_generator.py [ROUNDS] [--chart PATH]

All make reads of 150 bases with qualities and errors; the best of ROUNDS (default 7), the contenders taking turns. About
10 seconds a round. Needs wgsim (Debian: samtools); exit 2 without it. Without Python, our own loop is `cargo bench` in rust_gen/.

* ours: the preset bench (1.35 variants a read, of all six kinds) with binned qualities (Q2, 12, 23, 37) and errors as they say.
  `FASTQ` is `generate_fastq`; `packed` is `packed_reads`, what a producer puts into the queue;
  `columns` is `generate`: Python objects. Both with SPDI, strata and checksum of every read. Windows
  are random bases, or drawn from the reference that wgsim reads.
* wgsim makes pairs, so that each pair counts as two reads; its mutations are as frequent (-r 0.009 -R 0.3), its base errors as
  frequent on average (-e 0.004), its qualities constant; text to /dev/null, reading the 2-Mb reference included. It has no truth
  a read, and no random access.
* NumPy: whole arrays at once, one batch of 20,000 reads: windows with GC, up to three SNVs with Ti/Tv, binned qualities, errors as
  they say, FASTQ text, truth as arrays. It leaves out indels, MNVs, duplications, inversions, spacing, normal forms, strands,
  names of natural width and random access.
* memory: numpy.fill of as many bytes as our FASTQ text has, into pages that are there already: nothing that writes its result
  once to memory can be faster on this core.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import print_table
from helix_ray import _rust_gen

ROOT = Path(__file__).parents[1]
READ_LENGTH = 150
SCORES, SHARES = [2, 12, 23, 37], [0.002, 0.03, 0.068, 0.90]
CONFIG = json.dumps(
    json.loads((ROOT / "rust_gen/tests/presets/bench.json").read_text())
    | {"base_error_rate": "from_quality", "quality_model": f"binned:{SCORES}", "quality_weights": SHARES}
)
READS = 200_000
BATCH = 2000
NUMPY_BATCH = 20_000
REFERENCE_BASES = 2_000_000

Bytes = NDArray[np.uint8]


def own_cpu_s(work: Callable[[], object]) -> float:
    """CPU seconds of this process while ``work`` runs."""
    began = time.process_time()
    work()
    return time.process_time() - began


def each(make: Callable[[int], object], size: int) -> float:
    """CPU seconds of all READS in batches of ``size``, each thrown away before the next one."""

    def work() -> None:
        for start in range(0, READS, size):
            make(start)

    return own_cpu_s(work)


def child_cpu_s(command: list[str]) -> float:
    """CPU seconds of a child process."""

    def spent() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    began = spent()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return spent() - began


class NumpyGenerator:
    """Batches of reads as an experienced NumPy user would make them."""

    def __init__(self, seed: int, batch: int) -> None:
        self._random = np.random.Generator(np.random.SFC64(seed))  # NumPy's fastest
        self._batch = batch
        self._bases = np.frombuffer(b"ATCG", np.uint8)
        self._others = np.zeros((256, 3), np.uint8)  # the transition, then the transversions
        for base, others in zip(b"ACGT", (b"GCT", b"TAG", b"ACT", b"CAG"), strict=True):
            self._others[base] = np.frombuffer(others, np.uint8)
        limits = np.cumsum(np.round(np.array(SHARES) * 65536)).astype(int)
        self._score_of = np.searchsorted(limits, np.arange(65536), side="right").clip(max=3).astype(np.uint8)
        self._character = np.array(SCORES, np.uint8) + 33
        self._wrong = np.array([10 ** (-q / 10) for q in SCORES], np.float32)

    def fastq(self, first: int) -> tuple[bytes, list[NDArray[Any]]]:
        """FASTQ text of one batch, and the truth: read, position, reference base, alternative base."""
        random, n = self._random, self._batch
        strong = random.random((n, READ_LENGTH), np.float32) < 0.41
        window: Bytes = self._bases[strong * np.uint8(2) + random.integers(0, 2, (n, READ_LENGTH), np.uint8)]
        seq = window.copy()

        many = random.choice(4, n, p=[0.25, 0.35, 0.2, 0.2])
        read = np.repeat(np.arange(n), many)
        pos = random.integers(10, READ_LENGTH - 10, len(read))
        ref = window[read, pos]
        transversion = (random.random(len(read)) >= 2.1 / 3.1) * random.integers(1, 3, len(read))
        alt = self._others[ref, transversion]
        seq[read, pos] = alt

        score = self._score_of[random.integers(0, 65536, (n, READ_LENGTH), np.uint16)]
        at = np.nonzero(random.random((n, READ_LENGTH), np.float32) < self._wrong[score])
        seq[at] = self._others[seq[at], random.integers(0, 3, len(at[0]))]

        names = np.char.add("@hx", np.char.zfill(np.arange(first, first + n).astype("U9"), 9)).astype("S12")
        text = np.full((n, 13 + READ_LENGTH + 3 + READ_LENGTH + 1), ord("\n"), np.uint8)
        text[:, :12] = names.view(np.uint8).reshape(n, 12)
        text[:, 13 : 13 + READ_LENGTH] = seq
        text[:, 14 + READ_LENGTH] = ord("+")
        text[:, 16 + READ_LENGTH : -1] = self._character[score]
        return text.tobytes(), [read, pos, ref, alt]


def reference_file(folder: Path) -> Path:
    """A random reference of one contig."""
    bases = np.frombuffer(b"ACGT", np.uint8)[np.random.default_rng(1).integers(0, 4, REFERENCE_BASES)].tobytes().decode()
    path = folder / "reference.fa"
    path.write_text(">c1\n" + "\n".join(bases[i : i + 100] for i in range(0, len(bases), 100)) + "\n")
    return path


def race(rounds: int, reference: Path, wgsim: str) -> tuple[dict[str, float], int]:
    """Best reads per CPU second by contender, and bytes of our FASTQ text a read (times 1,000)."""
    genome = _rust_gen.Genome(reference)
    numpy_generator = NumpyGenerator(42, NUMPY_BATCH)
    text_bytes = len(_rust_gen.generate_fastq(42, CONFIG, 0, READS))
    memory = np.ones(text_bytes, np.uint8)  # written once already: the pages are there

    def write_all() -> None:
        for byte in range(10):
            memory.fill(byte)

    command = [wgsim, "-1", "150", "-2", "150", "-N", str(READS // 2), "-S", "11", "-h", "-e", "0.004", "-r", "0.009", "-R", "0.3"]
    command += [str(reference), "/dev/null", "/dev/null"]
    contenders: dict[str, Callable[[], float]] = {
        "ours, FASTQ": lambda: each(lambda start: _rust_gen.generate_fastq(42, CONFIG, start, BATCH), BATCH),
        "ours, FASTQ, from the reference": lambda: each(lambda start: _rust_gen.generate_fastq(42, CONFIG, start, BATCH, genome), BATCH),
        "wgsim": lambda: child_cpu_s(command),
        "ours, packed": lambda: each(lambda start: _rust_gen.packed_reads(42, CONFIG, start, BATCH), BATCH),
        "ours, columns": lambda: each(lambda start: _rust_gen.generate(42, CONFIG, start, BATCH), BATCH),
        "NumPy, FASTQ": lambda: each(numpy_generator.fastq, NUMPY_BATCH),
        "memory write limit": lambda: own_cpu_s(write_all) / 10,
    }
    best = dict.fromkeys(contenders, 0.0)
    for _ in range(rounds):
        for name, cpu_s in contenders.items():
            best[name] = max(best[name], READS / cpu_s())
    return best, text_bytes * 1000 // READS


def chart(best: dict[str, float]) -> str:
    """Bars on a logarithmic axis, as SVG."""
    width, left, row = 760, 230, 34
    lowest, highest = 1e5, 10 ** np.ceil(np.log10(max(best.values())))

    def x(value: float) -> float:
        return left + (width - left - 90) * float(np.log(value / lowest) / np.log(highest / lowest))

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{row * len(best) + 60}" font-family="sans-serif" font-size="13">'
    ]
    parts.append('<rect width="100%" height="100%" fill="white"/>')
    parts.append('<text x="10" y="20" font-weight="bold">Reads of 150 bases per CPU second, one core (logarithmic)</text>')
    for i, (name, value) in enumerate(best.items()):
        y = 34 + row * i
        colour = "#2a6fbb" if name.startswith("ours") else "#9aa5b1"
        parts.append(f'<text x="{left - 8}" y="{y + 16}" text-anchor="end">{name}</text>')
        parts.append(f'<rect x="{left}" y="{y}" width="{max(x(value) - left, 1):.0f}" height="22" fill="{colour}"/>')
        parts.append(f'<text x="{max(x(value), left) + 6:.0f}" y="{y + 16}">{value / 1e6:,.2f} M</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rounds", metavar="ROUNDS", type=int, nargs="?", default=7, help="at least 1; default 7")
    parser.add_argument("--chart", type=Path, default=ROOT / "benchmarks/results/generator.svg", help="where the SVG goes")
    arguments = parser.parse_args()
    wgsim = shutil.which("wgsim")
    if wgsim is None:
        print("wgsim is missing, and without it there is no race: apt-get install samtools", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="helix-bench-") as folder:
        best, milli_bytes = race(max(arguments.rounds, 1), reference_file(Path(folder)), wgsim)
    limit = best["memory write limit"]
    rows = [
        [name, f"{speed:,.0f}", f"{speed * READ_LENGTH / 1e6:,.0f}", f"{speed / best['wgsim']:.2f}", f"{100 * speed / limit:.1f} %"]
        for name, speed in best.items()
    ]
    print_table(["contender", "reads/s", "Mbases/s", "x wgsim", "of the memory write limit"], rows)
    ours = best["ours, FASTQ"]
    print(
        f"\nours writes {ours * milli_bytes / 1e9:,.0f} MB of FASTQ a second: {ours / best['wgsim']:.1f} times wgsim, "
        f"{ours / best['NumPy, FASTQ']:.1f} times NumPy, {100 * ours / limit:.1f} % of the memory write limit "
        f"({limit * milli_bytes / 1e12:,.1f} GB/s)."
    )
    arguments.chart.parent.mkdir(parents=True, exist_ok=True)
    arguments.chart.write_text(chart(best))
    print(f"chart: {arguments.chart}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
