"""Measures of trained flows.

`measure` has the interface, `likelihood`, `samples` and plug-ins the measures, `registry` the list.
A worker takes the default measures when a training ends; `trials` takes others later, from the
weights that a trial left. Samples are compared by `features` and `wasserstein`, and tested on
`controls`.
"""
