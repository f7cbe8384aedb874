"""The metric from losses that a prover tells."""

from array import array

from autoresearch_mcp.core.evaluation import EvaluationData, bits_per_byte


def test_rows_that_mean_nothing_have_a_number_whatever_tokens_count() -> None:
    real = EvaluationData((array("H", [9, 7, 8, 0]),), array("i", [0] * 7 + [1, 2, 3]))

    nothing = real.meaningless(2)

    assert [list(row) for row in nothing.rows] == [[7, 8, 9, 7]] * 2
    assert bits_per_byte([array("f", [0.0, 1.0, 2.0])] * 2, nothing) > 0
