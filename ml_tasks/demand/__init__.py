"""Demand: units that a product will sell in each of the next eight weeks.

Reads   features.product_weeks   one row per product_id and week_start_date
Writes  scores.demand            one row per product_id and week_start_date

`panel.py` turns the frame into arrays, `arima.py` and `lstm.py` each forecast them, `model.py`
chooses between the two per product and widens or narrows their bands, `evaluate.py` compares with
the seasonal naive forecast on weeks that no part of the model has seen.
"""
