"""Why the model of survival is what it is, in words for its card."""

from __future__ import annotations

from typing import Any

from ml_tasks.customers.chance import Combination
from ml_tasks.evaluation.comparison import Evaluation
from ml_tasks.survival.model import CoxModel


def decision(
    name: str, combination: Combination | None, tested: Evaluation, check: dict[str, Any]
) -> str:
    """What the curves are made of, and what the check of hazards led to.

    Args:
        name: Of the fitted model.
        combination: Of the chance of an order; None where there is none.
        tested: The figures on past dates.
        check: Of `fit_effects`.

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
    """Lines with a table of the check's p-values; none if it was not made."""
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
