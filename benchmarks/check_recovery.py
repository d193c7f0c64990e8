"""Whether the report recovers error rates that are known: coverage of its 95 % intervals over many seeds.

    .venv/bin/python benchmarks/check_recovery.py [SEEDS]

Default: 1,000 seeds, two minutes on one core. Each seed makes fresh reads of the preset bench and a fresh scripted caller that
drops, shifts and invents variants at set rates; its answers, as text, are read, judged and scored as a run does it. A rate is
covered when it lies in the report's interval. Ends with 1 when the coverage of any rate leaves 0.93 to 0.97.

The scripted caller is the emulator's: its rates say nothing about any LLM.
"""

from __future__ import annotations

import argparse
import sys

from harness import print_table

from helix_ray.actors.read_results import marks
from helix_ray.analysis.answers import ReadAnswer, reread_answer
from helix_ray.analysis.judge import judge_calls
from helix_ray.config import Config, EmulatorErrorRates
from helix_ray.emulator.answers import Item, write_answer
from helix_ray.emulator.checks import AnswerForm
from helix_ray.emulator.scripted_model import ScriptedModel
from helix_ray.records import Disposition, Read, ReadResult
from helix_ray.scoring.mistakes import mistake_rates
from helix_ray.scoring.score import score_read
from helix_ray.scoring.scores import Scores
from helix_ray.sources.synthetic import SyntheticSource

READS = 400
RATES = {"missed": 0.10, "misplaced": 0.05, "invented": 0.05}
LEAST, MOST = 0.93, 0.97
ONE_READ = AnswerForm(packed=False, work=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="?", type=int, default=1000)
    seeds: int = parser.parse_args().seeds
    covered = dict.fromkeys(RATES, 0)
    width = dict.fromkeys(RATES, 0.0)
    mean = dict.fromkeys(RATES, 0.0)
    for seed in range(1, seeds + 1):
        for name, found in mistake_rates(recovered(seed)).items():
            if name in RATES:
                low, high = found["ci"]
                covered[name] += low <= RATES[name] <= high
                width[name] += (high - low) / seeds
                mean[name] += found["rate"] / seeds
    rows = [[name, rate, f"{mean[name]:.4f}", f"{width[name]:.4f}", f"{covered[name] / seeds:.3f}"] for name, rate in RATES.items()]
    print_table(["rate", "set", "mean found", "mean width of the interval", f"coverage, {seeds:,} seeds"], rows)
    sys.exit(any(not LEAST <= count / seeds <= MOST for count in covered.values()))


def recovered(seed: int) -> Scores:
    """The scores of one run of the pure chain."""
    config = Config.model_validate({"run": {"seed": seed}, "source": {"count": READS, "batch_size": READS}})
    batch = SyntheticSource(config).block(0)
    assert batch is not None
    model = ScriptedModel(seed, EmulatorErrorRates(drop=RATES["missed"], shift=RATES["misplaced"], hallucinate=RATES["invented"]))
    scores = Scores()
    for read in batch.rows():
        scores.add(answered(read, model))
    return scores


def answered(read: Read, model: ScriptedModel) -> ReadResult:
    answer = reread_answer(write_answer([Item("id", model.answer(read.ref_seq, read.seq).calls, 0)], ONE_READ))
    assert isinstance(answer, ReadAnswer)
    calls = judge_calls(answer.calls, read.ref_seq)
    score = score_read(read, calls, None)
    return ReadResult(read, Disposition.STORED, mutation_detected=any(call.outcome == "ok" for call in calls), **marks(score))


if __name__ == "__main__":
    main()
