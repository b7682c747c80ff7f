"""Demand: units that a product will sell in each of the next eight weeks.

Reads   features.product_weeks   one row per product_id and week_start_date
Writes  scores.demand            one row per product_id and week_start_date

`panel.py` turns the frame into arrays, `closures.py` detects the weeks in which a product could not
be bought, `season.py` estimates the shop's season. The candidates are `smoothing.py` (also on the
sales of `prices.py`), `intermittent.py`, `own_season.py`, `arima.py`, `lstm.py`, `boosted.py` and
the simple methods of `model.py`, which calls all of them. `backtest.py` forecasts from past dates,
`blend.py` weights the candidates by that backtest and sets the bands, `reconcile.py` computes
expected units that add up to the totals. `evaluate.py` compares the blend with simple methods on
weeks that no part was fitted to, with the measures of `accuracy.py`.
"""
