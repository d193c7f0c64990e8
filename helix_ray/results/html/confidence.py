"""What the model's confidence is worth."""

from __future__ import annotations

from math import sqrt

from helix_ray.records import JsonObject
from helix_ray.results.html.drawing import Square
from helix_ray.results.html.parts import Parts, section
from helix_ray.results.html.tags import Html, tag
from helix_ray.results.words import share
from helix_ray.scoring.statistics import jeffreys


def confidence_section(report: JsonObject, parts: Parts) -> Html | None:
    """None when no call came with a confidence."""
    found = report["scoring"]["confidence"]
    if not found["calibration"]:
        return None
    return section("Confidence", None, tag("div", _calibration(found, parts), _curve(found, parts), class_="pair"))


def _calibration(found: JsonObject, parts: Parts) -> Html:
    chart = Square(
        "Calibration: confidence against the share of calls that are right", "confidence, as the model said", "share that is right"
    )
    chart.diagonal()
    bins = found["calibration"]["bins"]
    most = max(row["calls"] for row in bins)
    for row in bins:
        low, high = jeffreys(round(row["right"] * row["calls"]), row["calls"])
        chart.whisker(row["confidence"], low, high)
    for row in bins:
        chart.dot(row["confidence"], row["right"], 3 + 7 * sqrt(row["calls"] / most), f"{row['calls']:,} calls, {row['right']:.3f} right")
    about = (
        f"By tenths of confidence; a dot's area grows with its calls, the dashed line is a perfectly calibrated caller. Expected "
        f"calibration error: {found['calibration']['ece']:.3f}."
    )
    return parts.figure("Calibration", chart.done(), about)


def _curve(found: JsonObject, parts: Parts) -> Html:
    chart = Square("Precision against recall, along the confidence", "recall", "precision")
    points = [(point["recall"], point["precision"]) for point in found["curve"]]
    chart.steps(points)
    for (recall, precision), point in zip(points, found["curve"], strict=True):
        words = f"confidence {point['confidence']:g} and above: recall {recall:.3f}, precision {precision:.3f}"
        chart.dot(recall, precision, 2.5, words, small=True)
    about = f"Calls at or above each confidence. Average precision: {share(found['average_precision'])}."
    return parts.figure("Precision and recall", chart.done(), about)
