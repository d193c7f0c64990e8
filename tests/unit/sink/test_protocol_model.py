"""Every state of the protocol that two crashes and an outage can lead to, and every mistake that could be made in it."""

import pytest

from support.protocol_model import Faults, Violation, search

PAID_TWICE, LOST = "paid for again", "a read is lost"


def test_no_state_loses_a_read_pays_for_a_received_answer_again_or_sends_without_a_driver() -> None:
    assert search(crashes=2, outages=1) > 100_000, "the search is no longer what it was"


@pytest.mark.parametrize(
    ("fault", "crashes", "found"),
    [
        ("no_row_check", 1, PAID_TWICE),
        ("no_receipt_check", 1, PAID_TWICE),
        ("receipts_lost", 1, PAID_TWICE),
        ("receipts_deleted_early", 1, PAID_TWICE),
        ("no_spool", 1, PAID_TWICE),
        ("spool_not_replayed", 1, PAID_TWICE),
        ("no_driver_watch", 1, "after the driver's death"),
        ("names_ignored", 0, LOST),
        ("leases_not_released", 1, LOST),
        ("results_forgotten_early", 1, LOST),
    ],
)
def test_a_planted_mistake_is_found(fault: str, crashes: int, found: str) -> None:
    with pytest.raises(Violation, match=found):
        search(Faults(**{fault: True}), crashes=crashes, outages=1)


def test_every_mistake_is_planted() -> None:
    planted = {mark.args[1][index][0] for mark in test_a_planted_mistake_is_found.pytestmark for index in range(len(mark.args[1]))}
    assert planted == {*Faults._fields}
