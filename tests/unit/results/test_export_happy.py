"""summary.csv and extended.csv: hap.py's names, its definitions, and the sums of the results."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pytest

from helix_ray.records import Disposition, Read, ReadResult, ScoredVariant, Variant
from helix_ray.results.export import Format
from helix_ray.results.export.happy import EXTENDED, SUMMARY
from helix_ray.scoring.scores import RunScores
from helix_ray.scoring.statistics import jeffreys
from helix_ray.scoring.strata import DIMENSIONS
from helix_ray.scoring.summary import total
from support.exported_results import exported
from support.scored_results import scored_results

RESULTS = scored_results(400)
COUNTS = ["TRUTH.TOTAL", "TRUTH.TP", "TRUTH.FN", "QUERY.TOTAL", "QUERY.TP", "QUERY.FP", "FP.al"]
HAPPY_SUMMARY = (
    "Type,Filter,TRUTH.TOTAL,TRUTH.TP,TRUTH.FN,QUERY.TOTAL,QUERY.FP,QUERY.UNK,FP.gt,FP.al,METRIC.Recall,METRIC.Precision,METRIC.Frac_NA,"
    "METRIC.F1_Score,TRUTH.TOTAL.TiTv_ratio,QUERY.TOTAL.TiTv_ratio,TRUTH.TOTAL.het_hom_ratio,QUERY.TOTAL.het_hom_ratio"
)
HAPPY_EXTENDED = (
    "Type,Subtype,Subset,Filter,Genotype,QQ.Field,QQ,METRIC.Recall,METRIC.Precision,METRIC.Frac_NA,METRIC.F1_Score,FP.gt,FP.al,Subset.Size,"
    "Subset.IS_CONF.Size,Subset.Level,TRUTH.TOTAL,TRUTH.TOTAL.ti,TRUTH.TOTAL.tv,TRUTH.TOTAL.het,TRUTH.TOTAL.homalt,TRUTH.TOTAL.TiTv_ratio,"
    "TRUTH.TOTAL.het_hom_ratio,TRUTH.TP,TRUTH.TP.ti,TRUTH.TP.tv,TRUTH.TP.het,TRUTH.TP.homalt,TRUTH.TP.TiTv_ratio,TRUTH.TP.het_hom_ratio,"
    "TRUTH.FN,TRUTH.FN.ti,TRUTH.FN.tv,TRUTH.FN.het,TRUTH.FN.homalt,TRUTH.FN.TiTv_ratio,TRUTH.FN.het_hom_ratio,QUERY.TOTAL,QUERY.TOTAL.ti,"
    "QUERY.TOTAL.tv,QUERY.TOTAL.het,QUERY.TOTAL.homalt,QUERY.TOTAL.TiTv_ratio,QUERY.TOTAL.het_hom_ratio,QUERY.TP,QUERY.TP.ti,QUERY.TP.tv,"
    "QUERY.TP.het,QUERY.TP.homalt,QUERY.TP.TiTv_ratio,QUERY.TP.het_hom_ratio,QUERY.FP,QUERY.FP.ti,QUERY.FP.tv,QUERY.FP.het,QUERY.FP.homalt,"
    "QUERY.FP.TiTv_ratio,QUERY.FP.het_hom_ratio,QUERY.UNK,QUERY.UNK.ti,QUERY.UNK.tv,QUERY.UNK.het,QUERY.UNK.homalt,QUERY.UNK.TiTv_ratio,"
    "QUERY.UNK.het_hom_ratio"
)


def tables(folder: Path, results: Iterable[ReadResult]) -> tuple[pd.DataFrame, pd.DataFrame]:
    exported(folder, results, Format.CSV)
    return pd.read_csv(folder / "summary.csv"), pd.read_csv(folder / "extended.csv")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, pd.DataFrame]:
    return tables(tmp_path_factory.mktemp("csv"), RESULTS)


def one(frame: pd.DataFrame, **values: str) -> pd.Series:
    for column, value in values.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1, values
    return frame.iloc[0]


def test_the_columns_are_happys_and_ours_after_them(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    for frame, happys, columns in zip(both, (HAPPY_SUMMARY, HAPPY_EXTENDED), (SUMMARY, EXTENDED), strict=True):
        assert list(frame.columns) == list(columns)
        assert list(columns)[: happys.count(",") + 1] == happys.split(",")
    assert list(zip(both[0].Type, both[0].Filter, strict=True)) == [
        ("INDEL", "ALL"),
        ("INDEL", "PASS"),
        ("SNP", "ALL"),
        ("SNP", "PASS"),
        ("INVALID", "ALL"),
    ]


def test_an_mnv_is_as_many_snps_as_bases_that_it_changes(tmp_path: Path) -> None:
    mnv = Variant(3, "ACG", "GCT", "MNV", "mnv", 2)
    read = Read(0, "hx0", "hx0", 0, "+", "TTACGTTACG", "TTGCTTTACG", None, (mnv,), True, {"gc": 0.4}, None, None)
    missed = ScoredVariant("truth", *mnv[:5], None, None, "FN", None, "allele")
    half = ScoredVariant("call", 3, "A", "G", "SNV", None, 0.9, "ok", "FP", None, "allele", 0)
    misread = ScoredVariant("call", 7, "G", "A", "SNV", None, 0.9, "ref_mismatch", "FP", None, "invented")
    summary, extended = tables(tmp_path, [ReadResult(read, Disposition.STORED, [missed, half, misread])])
    every, passed = one(summary, Type="SNP", Filter="ALL"), one(summary, Type="SNP", Filter="PASS")
    assert (every["TRUTH.TOTAL"], every["TRUTH.FN"], every["QUERY.FP"], passed["QUERY.FP"]) == (2, 2, 2, 1)
    assert (every["FP.al"], every["FP.invalid"], every["TRUTH.TOTAL.TiTv_ratio"], every["METRIC.F1_Score"]) == (1, 1, 1.0, 0.0)
    whole = one(extended, Type="SNP", Subtype="*", Subset="*", Filter="PASS")
    assert (whole["TRUTH.FN.ti"], whole["TRUTH.FN.tv"], whole["QUERY.FP.ti"], whole["QUERY.FP.tv"]) == (1, 1, 1, 0)
    assert (whole["Subset.Size"], one(extended, Type="SNP", Subtype="tv", Subset="gc=0.4-0.5", Filter="ALL")["TRUTH.FN"]) == (10, 1)
    indel = one(summary, Type="INDEL", Filter="ALL")
    assert (indel["TRUTH.TOTAL"], indel["QUERY.TOTAL"]) == (0, 0)
    assert indel[["METRIC.Recall", "METRIC.Precision", "METRIC.F1_Score", "METRIC.Frac_NA"]].isna().all()


def test_the_sums_are_those_of_the_run(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    scores = RunScores()
    for result in RESULTS:
        scores.add(result)
    by_type = scores.model.by("type")
    indels = total({kind: by_type[kind] for kind in ("INS", "DEL", "DELINS") if kind in by_type})
    row = one(both[0], Type="INDEL", Filter="ALL")
    assert tuple(row[COUNTS]) == (
        indels.tp + indels.fn,
        *(indels.tp, indels.fn, indels.tp + indels.fp, indels.tp, indels.fp, indels.fp_allele),
    )
    assert (row["FP.near"], row["FP.error"], row["FP.invalid"], row["TRUTH.FN.failed"]) == (
        *(indels.fp_near, indels.fp_error, indels.fp_invalid, indels.fn_failed),
    )
    passed = one(both[0], Type="INDEL", Filter="PASS")
    assert (passed["QUERY.FP"], passed["QUERY.TP"], passed["TRUTH.FN"]) == (indels.fp - indels.fp_invalid, indels.tp, indels.fn)
    assert one(both[0], Type="INVALID", Filter="ALL")["QUERY.FP"] == by_type["INVALID"].fp > 0
    snps = one(both[0], Type="SNP", Filter="ALL")
    rows = [row for result in RESULTS for row in result.variants if row.type in ("SNV", "MNV") and row.match]
    bases = Counter((row.side, row.match) for row in rows for old, new in zip(row.ref, row.alt, strict=True) if old != new)
    assert tuple(snps[["TRUTH.TP", "TRUTH.FN", "QUERY.TP", "QUERY.FP"]]) == (
        *(bases["truth", "TP"], bases["truth", "FN"], bases["truth", "TP"], bases["call", "FP"]),
    )


def test_metrics_are_happys_and_intervals_surround_them(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    for _, row in both[0][both[0].Type != "INVALID"].iterrows():
        recall, precision = row["TRUTH.TP"] / row["TRUTH.TOTAL"], row["QUERY.TP"] / row["QUERY.TOTAL"]
        assert (row["METRIC.Recall"], row["METRIC.Precision"], row["METRIC.Frac_NA"]) == (recall, precision, 0.0)
        assert row["METRIC.F1_Score"] == pytest.approx(2 * recall * precision / (recall + precision))
        low, high = jeffreys(int(row["TRUTH.TP"]), int(row["TRUTH.TOTAL"]))
        assert row["METRIC.Recall_lower"] < low < high < row["METRIC.Recall_upper"], "the variants of a read fail together"
        assert row["METRIC.F1_Score_lower"] < row["METRIC.F1_Score"] < row["METRIC.F1_Score_upper"]
    # The example of hap.py's manual: 8100 of 9124 indels.
    assert round(8100 / (8100 + 1024), 6) == 0.887769


def test_subtypes_and_subsets_add_up_to_the_whole(both: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    extended = both[1]
    for kind, chosen in (("SNP", "ALL"), ("SNP", "PASS"), ("INDEL", "ALL"), ("INDEL", "PASS")):
        frame = extended[(extended.Type == kind) & (extended.Filter == chosen)]
        whole = one(frame, Subtype="*", Subset="*")[COUNTS].to_dict()
        assert whole == one(both[0], Type=kind, Filter=chosen)[COUNTS].to_dict()
        assert frame[(frame.Subset == "*") & (frame.Subtype != "*")][COUNTS].sum().to_dict() == whole
        for dimension in set(DIMENSIONS) - {"type", "subtype", "event"}:
            parts = frame[(frame.Subtype == "*") & frame.Subset.str.startswith(f"{dimension}=")]
            assert len(parts) > 1, dimension
            assert parts[COUNTS].sum().to_dict() == whole, dimension
    events = extended[
        (extended.Type == "INDEL") & (extended.Filter == "ALL") & extended.Subset.str.startswith("event=") & (extended.Subtype == "*")
    ]
    assert (events["TRUTH.TOTAL"].sum(), events["QUERY.TOTAL"].sum()) == (one(both[0], Type="INDEL", Filter="ALL")["TRUTH.TOTAL"], 0)
    snps = extended[extended.Type == "SNP"]
    assert (snps["TRUTH.FN.ti"] + snps["TRUTH.FN.tv"] == snps["TRUTH.FN"]).all()
