"""Measures of a trained flow: what takes numbers of one, and the flows of kept weights.

`measure` says what a `Measure` is and takes any; `likelihood`, `samples` and plug-ins have them,
`registry` lists them. A worker takes the default ones when a training ends, and `kept` any other
of the weights that it left. `features`, `wasserstein` and `controls` are what samples are compared
by.
"""
