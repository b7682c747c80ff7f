"""Tables of the benchmark: goals, the panel's summary, and figures of older code."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from benchmarks import code, data, judge, results, wanted
from benchmarks.questions import QUESTIONS, RECIPES
from benchmarks.summary import summary
from perennial.settings import REPOSITORY

CUTS = ("2024-01-01", "2024-04-01", "2024-07-01")


def figures_of(models: dict[str, dict[str, list[float]]], group: str = "shop") -> pd.DataFrame:
    """One row per model and cut, from each model's lists of figures over CUTS."""
    rows = [
        {"group": group, "cut": cut, "model": model, "source": "s",
         **{name: values[number] for name, values in of_model.items()}}
        for model, of_model in models.items()
        for number, cut in enumerate(CUTS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def verdicts_of(measure: str, peer: str, verdicts: list[str], group: str = "shop") -> pd.DataFrame:
    sign = {"better": 0.02, "tie": 0.001, "worse": -0.02}
    return pd.DataFrame(
        {
            "group": group, "cut": CUTS[: len(verdicts)], "measure": measure, "peer": peer,
            "difference": [sign[verdict] for verdict in verdicts],
            "spread": 0.01,
            "p_value": [0.5 if verdict == "tie" else 1e-6 for verdict in verdicts],
            "verdict": verdicts,
        }
    )  # fmt: skip


def test_one_cut_significantly_below_is_not_met() -> None:
    fine = verdicts_of("auc", "p", ["better", "tie", "tie"])
    assert wanted.never_worse(fine, "auc", "w").is_met
    goal = wanted.never_worse(verdicts_of("auc", "p", ["better", "better", "worse"]), "auc", "w")
    assert goal.is_met is False
    assert goal.figures == "2 better, 0 tie, 1 worse: p at 2024-07-01 (-0.020)"
    assert wanted.never_worse(fine, "brier", "w").is_met is None


def test_only_named_peers_count_where_they_are_named() -> None:
    both = pd.concat(
        [verdicts_of("concordance", "cox", ["tie"] * 3),
         verdicts_of("concordance", "forest", ["worse"] * 3)]
    )  # fmt: skip
    assert wanted.never_worse(both, "concordance", "w", ("cox",)).is_met
    assert wanted.never_worse(both, "concordance", "w").is_met is False


def test_level_on_average_is_not_above_it() -> None:
    rows = figures_of({"perennial": {"auc": [0.8, 0.7, 0.9]}, "p": {"auc": [0.9, 0.6, 0.9]}})
    assert wanted.on_average(rows, "auc", "w").is_met is False
    assert wanted.on_average(rows, "auc", "w", "level").is_met
    rows.loc[0, "auc"] = 0.81
    goal = wanted.on_average(rows, "auc", "w")
    assert goal.is_met
    assert goal.figures == ".803 against .800 of p; ahead at 1 of 3"


def test_calibration_may_be_off_by_what_a_perfect_model_is() -> None:
    rows = figures_of({"perennial": {"x": [0.029, 0.04, 0.05], "x_limit": [0.01, 0.045, 0.05]}})
    assert wanted.calibrated(rows, "x", "x").is_met
    rows.loc[1, "x_limit"] = 0.035
    goal = wanted.calibrated(rows, "x", "x")
    assert goal.is_met is False
    assert "2024-04-01 0.040 (bound 0.035)" in goal.figures


@pytest.mark.parametrize(
    ("errors", "of_two_thirds", "of_all"),
    [
        ([0.15, -0.15, 0.1], True, True),
        ([0.1, -0.1, 0.25], True, False),
        ([0.1, -0.2, 0.2], False, False),  # one of three is less than two thirds
        ([0.1, -0.1, 0.26], False, False),
    ],
)
def test_total_at_two_thirds_of_the_dates(errors, of_two_thirds, of_all) -> None:
    rows = figures_of({"perennial": {"total_error": errors}})
    assert wanted.total(rows, "at two thirds").is_met is of_two_thirds
    assert wanted.total(rows, "at all").is_met is of_all


def test_a_median_is_compared_with_medians() -> None:
    rows = figures_of(
        {
            "perennial": {"mae": [10.0] * 3}, "median": {"mae": [11.0] * 3},
            "mean": {"mae": [9.0] * 3}, "all_zero": {"mae": [12.0] * 3},
        }
    )  # fmt: skip
    rows["mae_of"] = rows["model"].map(lambda name: "mean" if name == "mean" else "median")
    goals = {one.wanted: one for one in wanted.clv(rows.assign(total_error=0.0), pd.DataFrame())}
    beside_medians = goals["MAE at most that of the best peer's median"]
    assert beside_medians.is_met
    assert "11.0 of median" in beside_medians.figures
    assert goals["MAE at most that of all zero"].is_met


def test_without_a_median_ours_is_still_compared() -> None:
    rows = figures_of({"perennial": {"mae": [10.0] * 3}, "p": {"mae": [9.0] * 3}})
    rows["mae_of"] = ["mean"] * 3 + ["median"] * 3
    like = wanted.like_with_like(rows, "mae")
    assert wanted.on_average(like, "mae", "w", "level").is_met is False


def test_what_only_a_peer_publishes_is_not_met() -> None:
    nan = float("nan")
    rows = figures_of({"perennial": {"x": [nan] * 3}, "p": {"x": [0.8] * 3}})
    assert wanted.within(rows, "x", "w").is_met is False
    assert wanted.calibrated(rows, "x", "w").is_met is False
    nobody = wanted.within(rows.assign(x=nan), "x", "w")
    assert nobody.is_met is None


def test_the_median_of_methods_is_no_single_one() -> None:
    rows = figures_of(
        {
            name: {"wrmsse": [value] * 3, "mase": [value] * 3, "total_error": [0.1] * 3,
                   "coverage": [0.8] * 3}
            for name, value in {"perennial": 0.90, "theta": 0.91, "median_of_all": 0.85}.items()
        }
    )  # fmt: skip
    is_met = {one.wanted: one.is_met for one in wanted.demand(rows, pd.DataFrame())}
    assert is_met["WRMSSE below the best single peer's on average"] is True
    assert is_met["WRMSSE within 3 % of the best of all on average, 10 % at each origin"] is False


def test_panel_counts_shops_and_says_what_is_missed() -> None:
    shops = {"one": [0.8, 0.8, 0.8], "two": [0.6, 0.6, 0.6]}
    figures, verdicts = [], []
    for shop, ours in shops.items():
        peer = [0.7, 0.7, 0.7]
        figures.append(
            figures_of({"perennial": {"auc": ours}, "p": {"auc": peer}}, shop)
            .assign(brier=0.1, calibration_error=0.01, calibration_error_limit=0.01)
        )  # fmt: skip
        outcomes = ["better"] * 3 if ours > peer else ["tie", "worse", "worse"]
        verdicts.append(verdicts_of("auc", "p", outcomes, shop))
    tables = {"churn": (pd.concat(figures), pd.concat(verdicts))}
    text = "\n".join(summary(tables))
    assert "| one | Churn | AUC | 3–0–0 | .800 | .700 p | +14.3% (p 0.00053) |" in text
    assert "| two | Churn | AUC | 0–1–2 | .600 | .700 p | -14.3% (p 0.024) |" in text
    assert "AUC never significantly below a peer's" in text.split("| two |")[-1]
    assert "| Churn | AUC | 1 of 2 (p 1) | +0.0% | p 1 of 2 (p 1) |" in text


def test_a_section_names_its_recipes_and_where_figures_come_from() -> None:
    figures = figures_of({"perennial": {"auc": [0.8] * 3}, "bg_nbd": {"auc": [0.7] * 3}})
    figures = figures.assign(source="2026-01-01 UTC, commit abc, model code 0123456789ab, x")
    verdicts = verdicts_of("auc", "bg_nbd", ["better", "better", "tie"])
    text = "\n".join(results.section("churn", QUESTIONS["churn"], figures, verdicts))
    assert "| bg_nbd | .700 ± .000, 2–1–0 |" in text
    assert f"- bg_nbd: {RECIPES['bg_nbd']}" in text
    assert "- cox" not in text
    assert code.VERSION.findall(text) == [("churn", "abc", "0123456789ab")]


def test_every_peer_has_a_recipe() -> None:
    """The peers' code runs in another environment, so names are searched in its text."""
    folder = REPOSITORY / "benchmarks"
    files = [*(folder / "peers").glob("*.py"), folder / "own_segments.py"]
    text = "".join(path.read_text() for path in files)
    missing = [name for name in RECIPES if f'"{name}"' not in text and "_x_" not in name]
    assert missing == []


def test_changed_model_code_is_warned_of() -> None:
    now = code.digest(code.model_code("churn"))
    line = "*churn: 2026-01-01 UTC, commit {}, model code {}, 2 cores: `x`*"
    assert code.changed_since(line.format("abc", now)) == []
    (warning,) = code.changed_since(
        "\n".join([line.format("abc", now), line.format("abd", "0" * 12)])
    )
    assert warning.startswith("churn: model code has changed")
    assert "commit abd" in warning
    assert "names its model code" in code.changed_since("")[0]


def test_models_are_what_they_import() -> None:
    names = {str(path.relative_to(REPOSITORY)) for path in code.model_code("demand")}
    assert {"ml_tasks/demand/run.py", "ml_tasks/evaluation/metrics.py"} <= names
    assert "ml_tasks/churn/run.py" not in names


def test_reserved_windows_lie_inside_open_ones() -> None:
    day = date(2024, 1, 1)
    assert data.share_inside([day], [day], 10) == 1
    assert data.share_inside([day], [date(2024, 1, 6)], 10) == 0.5
    assert data.share_inside(data.RESERVED_CUTS, data.CUTS, 90) == 1


def test_without_peers_there_is_no_verdict() -> None:
    nobody = judge.paired(judge.Judgement(pd.DataFrame(), {"auc": {}}), "perennial")
    decided = judge.decide(nobody.assign(group="shop"), ["group", "measure"])
    assert decided.empty
    assert "verdict" in decided
