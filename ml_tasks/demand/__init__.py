"""Demand: units that a product will sell in each of the next eight weeks.

Reads   features.product_weeks   one row per product_id and week_start_date
Writes  scores.demand            one row per product_id and week_start_date

`panel.py` turns the frame into arrays, `closures.py` finds the weeks in which a product could not
be bought, `season.py` the shop's season. Candidates forecast: `smoothing.py`, once more on
`prices.py`'s sales, `intermittent.py`, `own_season.py`, `arima.py`, `lstm.py`, and the simple
methods of `model.py`, which calls them all. `backtest.py` lets them forecast from past dates,
`blend.py` weighs them by that and sets their bands, `reconcile.py` makes expected units that add up
to the totals', `evaluate.py` compares with what an analyst would draw up on weeks that no part has
seen, `accuracy.py` has the measures.
"""
