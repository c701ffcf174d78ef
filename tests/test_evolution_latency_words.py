"""What is said where the measured latency of a winner is not what was predicted."""

from gsnet.evolution.latency_words import judged, latency_lines


def lines(predicted, bar, measured, budget, source="predict"):
    figures = {"source": source, "seconds_per_image": predicted, "measured_seconds_per_image": measured}
    return latency_lines(figures | judged(predicted, bar, measured, budget))


def test_within_the_error_bar_and_the_budget_figures_are_all():
    assert lines(1e-3, 0.08, 1.07e-3, 1.2e-3) == ["latency by predict: 1 ms an image +- 8%, measured 1.07 ms"]
    assert lines(1e-3, 0.08, None, 1.2e-3) == ["latency by predict: 1 ms an image +- 8%"]


def test_a_contradiction_and_a_broken_budget_are_said():
    # ln 1.07 is 0.068, ln 1.09 is 0.086, -ln 0.93 is 0.073.
    assert not judged(1.0, 0.08, 1.07, None)["measured_beyond_error_bar"]
    assert judged(1.0, 0.08, 1.09, None)["measured_beyond_error_bar"]
    assert not judged(1.0, 0.08, 0.93, None)["measured_beyond_error_bar"]
    _, contradiction, budget = lines(1e-3, 0.08, 2.5e-3, 1.2e-3)
    assert "contradicts the prediction: 2.50 times as long, beyond the error bar of 8%" in contradiction
    assert "breaks the budget: 2.5 ms where --budget_latency allows 1.2 ms" in budget
    # Faster than predicted is a contradiction too, and no harm.
    assert len(lines(1e-3, 0.08, 0.5e-3, 1.2e-3)) == 2


def test_a_plain_sum_of_layers_has_no_error_bar():
    (figures,) = lines(1e-3, None, 1.9e-3, None, "table")
    assert figures.endswith("measured 1.9 ms, 1.90 times that sum of layers, which is not calibrated")
    assert lines(1e-3, None, None, None, "measure") == ["latency by measure: 1 ms an image"]
