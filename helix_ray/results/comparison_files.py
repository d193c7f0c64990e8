"""A comparison as files: JSON, a page, the paragraph for the paper, tables and figures. Each says which runs it is about."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from helix_ray import theme
from helix_ray.comparison.decisions import ALPHA
from helix_ray.comparison.league import FEW_TRUTHS, Estimate
from helix_ray.comparison.paired import RESAMPLES
from helix_ray.results.comparing import Comparison, word
from helix_ray.results.export.records import cell
from helix_ray.results.formatting import NOTICE, UNKNOWN
from helix_ray.results.html import register, style, template

_SIZE = re.compile(r'viewBox="0 0 (\d+) (\d+)" width="\d+" height="\d+"')
FIGURES = ("forest", "heatmap", "pareto", "flips")

Row = Mapping[str, Any]


def points(it: Estimate) -> str:
    """``+1.2 [0.4, 2.0]``, in percentage points."""
    return f"{100 * it['difference']:+.1f} [{100 * it['ci'][0]:.1f}, {100 * it['ci'][1]:.1f}]"


def dollars(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4f}" if value < 1 else f"{value:,.2f}"


def cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: max(1, most - 1)]}…"


def decades(prices: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around all prices."""
    known = [price for price in prices if price > 0] or [1.0]
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    return (low, high) if low < high else (low - 1, high + 1)


def along(price: float, low: int, high: int) -> float:
    """How far along a logarithmic axis, 0 to 1."""
    return (math.log10(price) - low) / (high - low) if price > 0 else 0.0


def ticks(reach: float) -> list[float]:
    """Round numbers from -reach to reach, five to nine."""
    power = 10.0 ** math.floor(math.log10(reach))
    step = power * next(part for part, below in ((0.5, 2), (1, 4), (2, math.inf)) if reach < below * power)
    most = int(reach / step)
    return [step * place for place in range(-most, most + 1)]


def apart(labels: Sequence[tuple[float, float, float]], room: float = 15.0) -> list[float]:
    """Heights at which no two labels meet. Each has its left end, its right end and the height that it would have alone.

    Labels give way downwards, upwards if most stand in the lower half of the 340 units above the axis.
    """
    way = -1.0 if sum(y for _, _, y in labels) > 170.0 * len(labels) else 1.0
    heights = [way * y for _, _, y in labels]
    placed: list[int] = []
    for place in sorted(range(len(labels)), key=heights.__getitem__):
        left, right, _ = labels[place]
        for other in placed:
            if labels[other][0] < right and left < labels[other][1]:
                heights[place] = max(heights[place], heights[other] + room)
        placed = sorted([*placed, place], key=heights.__getitem__)
    return [way * height for height in heights]


def strata(found: Comparison) -> list[tuple[str, str, list[dict[str, Any] | None]]]:
    """Levels that any run has truths of, with a cell a run: F1, or recall where no F1 is known."""
    of_baseline = [pair for pair in found["pairs"] if pair["first"] == 0]
    told = {(pair["second"], it["dimension"], it["level"]) for pair in of_baseline for it in pair["levels"] if it["q"] < ALPHA}
    by_run = [{(it["dimension"], it["level"]): it for it in standing["cells"] if it["truths"]} for standing in found["standings"]]
    rows = []
    for key in dict.fromkeys(key for cells in by_run for key in cells):
        cells = [
            None if (it := known.get(key)) is None
            else {"value": it["recall"] if it["f1"] is None else it["f1"], "truths": it["truths"], "told": (place, *key) in told}
            for place, known in enumerate(by_run)
        ]  # fmt: skip
        rows.append((*key, cells))
    return rows


register(
    apart=apart,
    points=points,
    dollars=dollars,
    cut=cut,
    decades=decades,
    along=along,
    strata=strata,
    ticks=ticks,
    word=word,
    zip=lambda *rows: [*zip(*rows, strict=True)],
)


def write(found: Comparison, folder: Path) -> None:
    """Fills a new folder. OSError when it cannot."""
    files = {"compare.json": json.dumps(found, indent=1) + "\n", "methods.md": methods(found)}
    files["compare.html"] = page(found)
    for name, rows in tables(found).items():
        files |= {f"tables/{name}.csv": _csv(rows), f"tables/{name}.md": _markdown(rows, found)}
    files |= {f"figures/{name}.svg": figure(found, name) for name in FIGURES}
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    about = {name: found[name] for name in ("helix_throttle", "scorer", "runs", "fingerprint", "rescored", "warnings")}
    sums = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}
    (folder / "provenance.json").write_text(json.dumps({**about, "sha256": sums}, indent=1) + "\n", encoding="utf-8")


def page(found: Comparison) -> str:
    return template("compare.html").render(found=found)


def figure(found: Comparison, name: str) -> str:
    """An SVG file of its own, with its colours, a margin, and below it what it is about."""
    drawn = str(getattr(template("figures.html").module, name)(found)).strip()
    about = json.dumps({"fingerprint": found["fingerprint"], "runs": found["runs"], "warnings": found["warnings"]}).replace("<", "\\u003c")
    ground = "svg { background: var(--background); font-family: var(--font-sans); }"
    head = f"<metadata>{_escaped(about)}</metadata><style>{_escaped(f'{theme.css()} {style()} {ground}')}</style>"
    wide, tall = map(int, _SIZE.findall(drawn)[0])
    runs = ", ".join(f"{run['run_name']} {run['run_id'][:8]}" for run in found["runs"])
    lines = [NOTICE] if any(run["simulated"] for run in found["runs"]) else []
    lines.append(cut(f"{found['reads']:,} reads; {runs}", wide // 8))
    below = "".join(f'<text x="0" y="{tall + 20 + 18 * place}">{_escaped(line)}</text>' for place, line in enumerate(lines))
    drawn = _SIZE.sub(f'viewBox="-12 -12 {wide + 24} {tall + 62}" width="{wide + 24}" height="{tall + 62}"', drawn, count=1)
    drawn = drawn.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1).replace("</title>", f"</title>{head}", 1)
    return f"{drawn.removesuffix('</svg>')}{below}</svg>\n"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")


def tables(found: Comparison) -> dict[str, list[Row]]:
    """By name; every row of a run has its provenance, every row of a pair that of the second run, and the first one's id."""
    runs, pairs = found["runs"], found["pairs"]

    def of_pair(place: int) -> Row:
        pair = pairs[place]
        return {"against": runs[pair["first"]]["run_id"], **runs[pair["second"]]}

    measures = ("first", "second", "difference", "ci_low", "ci_high")
    every = [(place, _wide(level)) for place, pair in enumerate(pairs) for level in pair["levels"]]
    return {
        "runs": [
            {
                **run, **{key: value for key, value in _wide(standing).items() if key not in ("cells", "costs")}, **standing["costs"],
                "unfinished": left["unfinished"], "dropped": left["dropped"],
            }
            for run, standing, left in zip(runs, found["standings"], found["left_out"], strict=True)
        ],
        "pairs": [
            {
                "endpoint": name, **{key: _wide(it)[key] for key in (*measures, "p", "p_adjusted", "verdict", "more_reads", "method")},
                "gained": pair["discordant"]["gained"], "lost": pair["discordant"]["lost"], **of_pair(place),
            }
            for place, pair in enumerate(pairs) for name in ("exact", "f1") if (it := pair[name]) is not None
        ],
        "by_type": [{**level, **of_pair(place)} for place, level in every if level["dimension"] == "type"],
        "by_stratum": [{**level, **of_pair(place)} for place, level in every if level["dimension"] != "type"],
        "discordant_reads": [
            {
                "read_index": it["read_index"], "right": runs[it["right"]]["run_id"], "against": runs[it["first"]]["run_id"],
                **runs[it["second"]],
            }
            for it in found["discordant_reads"]
        ],
    }  # fmt: skip


def _wide(row: Mapping[str, Any]) -> dict[str, Any]:
    """Intervals as two columns."""
    wide: dict[str, Any] = {}
    for key, value in row.items():
        if key == "ci" or key.endswith("_ci"):
            wide |= {f"{key}_low": value and value[0], f"{key}_high": value and value[1]}
        else:
            wide[key] = value
    return wide


def _csv(rows: Sequence[Row]) -> str:
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: cell(value) for key, value in row.items()} for row in rows)
    return out.getvalue()


def _markdown(rows: Sequence[Row], found: Comparison) -> str:
    ids = ", ".join(f"{run['run_name']} ({run['run_id']})" for run in found["runs"])
    lines = [*(f"> {warning}" for warning in found["warnings"]), ""] if found["warnings"] else []
    if rows:
        lines += [_cells(rows[0].keys()), _cells("---" for _ in rows[0])]
        lines += [_cells(f"{value:.4g}" if isinstance(value, float) else cell(value) for value in row.values()) for row in rows]
    return "\n".join([*lines, "", f"Runs: {ids}; reads {found['fingerprint']}.", ""])


def _cells(values: Any) -> str:
    texts = [str(value).replace("|", "\\|") for value in values]
    return f"| {' | '.join(texts)} |"


def methods(found: Comparison) -> str:
    """The paragraph for the paper, from what was done, with its references."""
    return "\n".join([f"# Methods\n\n{' '.join(_sentences(found))}", "\n## References\n", *(f"* {it}" for it in REFERENCES), ""])


def _sentences(found: Comparison) -> Iterator[str]:
    runs = "; ".join(f"{it['run_name']} ({it['model'] or 'aligner'}, prompt {it['prompt']}, run {it['run_id']})" for it in found["runs"])
    packed = any(pair["exact"]["clusters"] < found["reads"] for pair in found["pairs"])
    against = "each with each" if found["all_pairs"] else f"each with {found['runs'][0]['run_name']}"
    of_f1 = " or ".join(dict.fromkeys(pair["f1"]["method"] for pair in found["pairs"] if pair["f1"]))
    effects = [pair["exact"]["design_effect"] for pair in found["pairs"]]
    yield f"We compared {runs}, {against}, on {found['reads']:,} reads that all of them had finished, paired by index and checksum"
    yield f"(sha256 of the read set {found['fingerprint']}). Scored by helix-throttle {found['helix_throttle']}, scorer {found['scorer']};"
    yield "a read without an answer counts as wrong."
    yield "The primary endpoint is the share of reads whose calls give the true sequence exactly: McNemar's exact test [1], mid-p [2] and"
    yield "Tango's score interval [3]."
    if of_f1:
        yield f"The secondary endpoint is F1 over all variants ({of_f1}; {RESAMPLES:,} resamples where resampled), asked only where the"
        yield "primary one tells a pair apart."
    unit = "requests that held several reads, two-way across the runs [4]" if packed else "reads, since each request held one"
    yield f"Clusters are {unit}; design effects of exact reads were {min(effects):.2f} to {max(effects):.2f}; draws are divided by them."
    if found["few_clusters"]:
        yield "With fewer than 40 clusters Student's t replaced the normal distribution."
    yield f"Over {len(found['pairs'])} pairs p was adjusted by Holm [5], at {ALPHA:g}."
    yield f"Equivalence rests on two one-sided tests [6] within {100 * found['margin']:g} percentage points, never on a large p."
    yield "Differences by type and stratum have linearised standard errors [7] and Benjamini and Hochberg's q [8]; they are exploratory,"
    yield f"and strata with fewer than {FEW_TRUTHS} true variants are marked."
    yield from (f"Note: {warning}." for warning in found["warnings"])


REFERENCES = (
    "[1] McNemar 1947, Psychometrika 12:153, doi:10.1007/BF02295996",
    "[2] Fagerland, Lydersen & Laake 2013, BMC Med Res Methodol 13:91, doi:10.1186/1471-2288-13-91",
    "[3] Tango 1998, Stat Med 17:891",
    "[4] Cameron, Gelbach & Miller 2011, J Bus Econ Stat 29:238, doi:10.1198/jbes.2010.07136",
    "[5] Holm 1979, Scand J Stat 6:65",
    "[6] Schuirmann 1987, J Pharmacokinet Biopharm 15:657, doi:10.1007/BF01068419",
    "[7] Miller 2024, arXiv:2411.00640",
    "[8] Benjamini & Hochberg 1995, J R Stat Soc B 57:289",
)
