"""Out-of-time evidence and what follows from it: origins, weights of several models, their level.

`origins` says on which past dates models are fitted anew and which dates they are asked about,
`weights` how much each model counts, `levels` how far their means were off and what that says of
the next one. `comparison.Evaluation` holds the figures of all models on past dates. All pure:
arrays and frames in, numbers out.
"""
