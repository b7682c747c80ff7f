"""Text of the model card on how the survival model was chosen."""

from __future__ import annotations

from typing import Any

from ml_tasks.customers.chance import Combination
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.survival.model import CoxModel


def decision(
    name: str, combination: Combination | None, tested: Evaluation, check: dict[str, Any]
) -> str:
    """Describe the parts of the curves and the result of the test of proportional hazards.

    Args:
        name: Name of the fitted model.
        combination: Combination of the chance of an order; None if there is none.
        tested: Figures on past dates.
        check: Report of `fit_effects`.

    Returns:
        Markdown.
    """
    if combination:
        count = len(tested.cuts)
        dates = f"{count} past dates" if count else "no past date, the shop is too young"
        of_curves = (
            f"Chance of an order within 90 days combined: {combination}. The curve through"
            " it has the mean shape of the order process, Cox's model and Kaplan-Meier by recency,"
            " and half that of the customer's own rhythm;"
            f" tested on {dates}."
        )
    else:
        beat = "beat" if name == CoxModel.name else "did not beat, or could not be tested against,"
        of_curves = (
            f"Cox's model {beat} Kaplan-Meier by recency out of time, on concordance and integrated"
            " Brier score; too few customers came back, or too few did not, to combine more."
        )
    hazards = f"Proportional hazards in the model of the effects: {check['decision']}."
    return "\n".join([of_curves, "", hazards, *_of_hazards(check)])


def _of_hazards(check: dict[str, Any]) -> list[str]:
    """Lines of a table with the p-values of the test; none if there was no test."""
    if "p_values_before" not in check:
        return []
    after = check["p_values_after"]
    return [
        f"Strata: {check['strata']}. Each of {check['count_customers']} customers counts once.",
        "",
        "| covariate | p-value with one baseline hazard | in the model used |",
        "| --- | --- | --- |",
        *(f"| {k} | {p:.2g} | {after[k]:.2g} |" for k, p in check["p_values_before"].items()),
    ]
