"""Which nodes may take part in a run."""

import pytest

from helix_ray.supervision.node_proof import LEAST_OPEN_FILES, NodeProof, refusals

DRIVER = NodeProof("a" * 64, "7", LEAST_OPEN_FILES)


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (DRIVER, []),
        (NodeProof("b" * 64, "8", 20_000), ["its package is bbbbbbbbbbbb and the driver's is aaaaaaaaaaaa"]),
        (NodeProof("a" * 64, "8", 20_000), ["its generator version is 8 and the driver's is 7"]),
        (NodeProof("a" * 64, "7", 1024), ["a process may open 1024 files, at least 4096"]),
        (NodeProof("a" * 64, "7", 20_000, ("the database: away", "GET /models: away")), ["the database: away", "GET /models: away"]),
        ("GetTimeoutError within 30 s", ["no proof (GetTimeoutError within 30 s)"]),
    ],
)
def test_a_node_is_refused_for_each_thing_that_differs(proof: NodeProof | str, said: list[str]) -> None:
    found = refusals(DRIVER, {"10.0.0.1/aaaaaa": DRIVER, "10.0.0.2/bbbbbb": proof})
    assert len(found) == len(said)
    assert all(problem.startswith("node 10.0.0.2/bbbbbb: ") and words in problem for problem, words in zip(found, said, strict=True))
