"""Out-of-time evaluation: past dates, figures, comparisons, and the combination of models.

`origins` and `cuts` choose past dates, `metrics` and `figures` hold what is measured on them,
`contest` and `comparison` compare models, `weights` and `levels` combine several models. All
functions are pure: arrays and frames in, numbers out.
"""
