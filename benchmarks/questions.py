"""The tables of results.md: columns, goals, how to read the figures, the peers' recipes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from benchmarks import wanted
from benchmarks.tables import Figure
from benchmarks.wanted import Goal


@dataclass(frozen=True)
class Question:
    """One table of results.md.

    Attributes:
        name: Heading.
        figures: Columns; the first sorts the rows and is shown cut by cut.
        wants: Computes the goals from one shop's figures and verdicts.
        note: How to read the figures.
    """

    name: str
    figures: tuple[Figure, ...]
    wants: Callable[[pd.DataFrame, pd.DataFrame], list[Goal]]
    note: str


UNSCORED = Figure("unscored", "unscored", "low", 0)
SECONDS = Figure("seconds", "CPU seconds", "low", 1)
SPEND = (
    Figure("gini", "normalised Gini", "high"),
    Figure("total_error", "total error", "near 0"),
    Figure("mae", "MAE", "low", 1),
    Figure("spend_calibration", "calibration of any spend", "low"),
    Figure("spend_calibration_limit", "a perfect model's", "low"),
    Figure("coverage", "80 % band holds", "near 0.8"),
    Figure("coverage_if_buying", "given spend holds", "near 0.8"),
    Figure("pit_distance", "PIT to uniform", "low"),
    SECONDS,
    UNSCORED,
)
SPEND_NOTE = (
    "Net spend of the horizon, at least 0. MAE is of the median; of a model that has none it is"
    " of the mean, and its cell says so. The band holds of all customers, quantiles given spend of"
    " those who spend. PIT is the largest distance of the randomised PIT, of band and chance"
    " together, to uniform."
)

QUESTIONS = {
    "churn": Question(
        "Churn",
        (
            Figure("auc", "AUC", "high"),
            Figure("brier", "Brier", "low", 4),
            Figure("calibration_error", "calibration error", "low"),
            Figure("calibration_error_limit", "a perfect model's", "low"),
            SECONDS,
            UNSCORED,
        ),
        wanted.churn,
        "An order in the next 90 days. The calibration error is over ten bins of equal count;"
        " beside it stands what a perfect model with the same chances stays below in 95 of 100"
        " shops like this.",
    ),
    "clv": Question("CLV, 90 days", SPEND, wanted.clv_90, SPEND_NOTE),
    "clv_365": Question(
        "CLV, 365 days",
        tuple(figure for figure in SPEND if figure is not SECONDS),
        wanted.clv,
        SPEND_NOTE,
    ),
    "survival": Question(
        "Survival",
        (
            Figure("concordance", "concordance", "high"),
            Figure("integrated_brier", "integrated Brier", "low", 4),
            Figure("error_30d", "calibration 30 d", "low"),
            Figure("error_90d", "calibration 90 d", "low"),
            Figure("error_180d", "calibration 180 d", "low"),
            SECONDS,
            UNSCORED,
        ),
        wanted.survival,
        "Harrell's concordance to 365, 180 or 90 days, the Brier score integrated to 180 or 90,"
        " as far as the outcome is known; calibration is the error over ten equal-count bins.",
    ),
    "stages": Question(
        "Stages",
        (
            Figure("log_loss", "log loss", "low"),
            Figure("brier", "Brier", "low", 4),
            Figure("calibration", "calibration error, mean", "low"),
            Figure("worst_calibration", "of the worst stage", "low"),
            SECONDS,
            UNSCORED,
        ),
        wanted.stages,
        "Six stages 90 days later, by rules that the judge has written anew. Transitions that the"
        " rules forbid are no skill: every model but `stays` has them near 0. Calibration is over"
        " ten equal-count bins a stage.",
    ),
    "segments": Question(
        "Segments",
        (
            Figure("spend_r2", "R² of later spend", "high"),
            Figure("stability", "stability", "high"),
            Figure("lowest_stability", "lowest", "high"),
            Figure("weekly_change", "change a week", "low"),
            Figure("smallest_share", "smallest segment", "high"),
            Figure("count_segments", "segments", "high", 1),
            SECONDS,
            UNSCORED,
        ),
        wanted.segments,
        "Segments are learnt 90 days before the cut and kept. R² is of the log of 1 + the net spend"
        " of the 90 days after it, by the segments' means of the 90 days before it. Stability is"
        " the adjusted Rand index of ten fits to resamples. The change a week is that of customers"
        " without an order or refund in the week. `rfm_groups` are ours, too: they are published"
        " beside the segments and are not chosen by data.",
    ),
    "next_order": Question(
        "Next order",
        (
            Figure("log_days_error", "date, MAE of log days", "low"),
            Figure("log_amount_error", "amount, MAE of log", "low"),
            Figure("precision_at_3", "three families, precision", "high"),
            Figure("within_7_days", "within 7 days", "high"),
            Figure("date_coverage", "80 % interval of the date holds", "near 0.8"),
            Figure("amount_coverage", "80 % interval of the amount holds", "near 0.8"),
            Figure("total_error", "total error", "near 0"),
            SECONDS,
            UNSCORED,
        ),
        wanted.next_order,
        "Known customers who order within 90 days: their first order day, its sales gross of"
        " refunds, and the families in it (precision where it has any). Families are named by"
        " features.product_families of the cut, for both sides. The total is of the mean, of a"
        " model without one of its median.",
    ),
    "demand": Question(
        "Demand",
        (
            Figure("wrmsse", "WRMSSE", "low"),
            Figure("mase", "MASE", "low"),
            Figure("total_error", "total error", "near 0"),
            Figure("coverage", "80 % band holds", "near 0.8"),
            Figure("mean_above_p90", "mean above p90", "low"),
            Figure("pinball", "pinball", "low"),
            SECONDS,
            UNSCORED,
        ),
        wanted.demand,
        "WRMSSE and MASE are of the median, which our contract calls the guess of a product's week,"
        " the total is of the mean, which adds up; a peer of statsforecast has one figure for both."
        " Eight weeks; the 1,000 products with most revenue in the 13 weeks before of those sold in"
        " at least 26 of the last 52. A week without a row in the source is not known and not"
        " judged. Pinball is the mean of .1, .5 and .9, each product's over its mean weekly step."
        " CPU seconds are for 1,000 series, training included.",
    ),
}

PAST = "learnt from three earlier dates, a month apart, whose horizon had passed"
RFM = "recency, age, orders and net spend (ever, 30, 90, 180, 365 days), mean gap, mean order"
TREES = "300 trees of depth 2, rate .03, rows .8"
RECIPES = {
    "all_zero": "nobody orders, nothing is sold",
    "recency": "from the days since the last order alone: logistic regression (churn); mean,"
    " quantiles (value) or Kaplan-Meier (survival) of those who ordered about as long ago",
    "bg_nbd": "lifetimes BetaGeoFitter on order days; exact chance of no order,"
    " 1 - P(alive) (1 - ((alpha + T) / (alpha + T + t)) ** (r + x))",
    "pareto_nbd": "lifetimes ParetoNBDFitter on order days; exact chance of no order, the"
    " likelihood with T + t over that with T",
    "bg_nbd_x_gamma_gamma": "expected orders of lifetimes BetaGeoFitter times GammaGammaFitter's"
    " amount of an order day; a mean, no median; the chance as in churn",
    "pareto_nbd_x_gamma_gamma": "the same of ParetoNBDFitter",
    "logistic_rfm": f"scikit-learn, on logs of {RFM}; {PAST}",
    "xgboost_rfm": f"XGBClassifier, {TREES}, on {RFM}; {PAST}",
    "xgboost_tweedie": f"XGBRegressor, Tweedie of power 1.5, {TREES}; a mean, no median; {PAST}",
    "xgboost_quantile": f"XGBRegressor, quantiles .1, .5, .9 of all and of those who spend, and"
    f" XGBClassifier for the chance of it, {TREES}; no mean; {PAST}",
    "repeat_last": "the net spend of as many days before",
    "same_last_year": "the net spend of the same days a year before",
    "stays": "everybody stays in the present stage",
    "markov": "shares of the stages 90 days later by stage, the last 24 months, half a move added",
    "semi_markov": "the same by stage and months since the last order, shrunk to the stage's",
    "logistic": "scikit-learn, multinomial, on logs of recency, age, last gap, order days (ever,"
    " 90, 365 days), net spend, and the stage; the last 24 past months",
    "xgboost": "XGBClassifier, 300 trees of depth 3, rate .05, rows .8, on the same",
    "one_segment": "everybody in one segment: the mean of all",
    "kmeans_4": "scikit-learn KMeans, four segments on logs of recency, order days and net spend",
    "kmeans_8": "the same, eight segments",
    "mixture_4": "scikit-learn GaussianMixture, four full covariances, on the same",
    "ward_4": "scikit-learn AgglomerativeClustering, Ward, 2,000 customers, nearest centre",
    "rfm_groups": "the eleven groups of ml_tasks/segments/rfm_groups.yml, borders learnt 90 days"
    " before",
    "constant": "one wait and amount for all: medians, deciles and mean of past dates 30 days"
    " apart; the most usual families of 28 days",
    "own_history": "last order plus the own median gap (training median where overdue or with one"
    " order), own median amount, own share of families shrunk by 3 order days of all",
    "own_mean": "own mean amount of an order day",
    "last_order": "amount and families of the last order day",
    "xgboost_log_absolute": "XGBRegressor, 150 trees, absolute error of the logarithm, on recency,"
    " age, orders, gaps (median, last, deviation), amounts (mean, median, last) and season; past"
    " dates 30 days apart",
    "deep_multitask": "torch, one network for churn, spend and next orders: a GRU of 32 states over"
    " the last 16 order days (gap, amount, families, season, days since), beside it recency,"
    " orders, amounts and own shares; ten past dates 30 days apart, at most 4,000 customers,"
    " stopped by a fifth of them held out",
    "cox": "lifelines CoxPHFitter on logs of recency, age, orders, gap, spend; customers watched"
    " from 180, 270 and 360 days before",
    "weibull_aft": "lifelines WeibullAFTFitter, the same",
    "random_survival_forest": "scikit-survival, 100 trees, leaves of 15, the same, 5,000 rows",
    "auto_arima": "statsforecast AutoARIMA()",
    "auto_ets": "statsforecast AutoETS()",
    "theta": "statsforecast Theta()",
    "dynamic_theta": "statsforecast DynamicOptimizedTheta()",
    "theta_52": "statsforecast Theta(52) where two years are known, else theta",
    "mstl_52_ets": "statsforecast MSTL(52, AutoETS('ZZN')) where two years are known, else"
    " auto_ets",
    "auto_ces": "statsforecast AutoCES()",
    "croston_sba": "statsforecast CrostonSBA(), conformal bands",
    "tsb": "statsforecast TSB(.2, .2), conformal bands",
    "imapa": "statsforecast IMAPA(), conformal bands",
    "seasonal_naive": "statsforecast SeasonalNaive(52)",
    "xgboost_lags": "one XGBRegressor for all series and steps: lags, means, last year's weeks,"
    " calendar, 52 origins, 200 trees of depth 5; squared error for the mean, quantiles",
    "median_of_all": "median of all but seasonal_naive and all_zero",
}
