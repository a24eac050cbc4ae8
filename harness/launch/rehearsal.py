"""A trial run of plug-ins in the launching process, before anything is changed."""

import numpy as np

from lcma.harness.launch.plan import Plan
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Trial
from lcma.sweeps.factorizations import RULES, needs_maps, normalize
from lcma.sweeps.plugins import describe_failure


def rehearse_plugins(plan: Plan) -> list[str]:
    """Fill the tables of every plug-in rule, build every plug-in flow, initialize it on two images
    of noise and check its likelihood and its inverse.

    Returns lines that say what of the flows could not be checked. Raises UserError naming the
    plug-in if something fails or is wrong.
    """
    tried = set()
    notes: dict[str, list[str]] = {}
    for trial in plan.expansion.trials:
        key = trial.recipe.id, trial.factorization
        if key not in tried and trial.plugins:
            tried.add(key)
            _try(trial)
            _check(trial, notes)
    return list(dict.fromkeys(line for lines in notes.values() for line in lines))


def _try(trial: Trial) -> None:
    import torch

    from lcma import models

    model = trial.recipe.model
    shape = (model.channels, model.size, model.size)
    noise = np.random.RandomState(0)
    maps = []
    if needs_maps(trial.factorization):
        maps = [noise.standard_normal(shape) for _ in range(model.splits)]
    if trial.factorization in RULES:
        models.make_tables(trial.factorization, shape, model.splits, seed=trial.seed, maps=maps)
    plugin = REGISTERED[model.flow].plugin
    if plugin is None:
        return
    try:
        flows = [models.build(model, trial.factorization, seed=trial.seed, maps=maps)]
        form = trial.pretraining.form if trial.pretraining is not None else None
        if form == "squeezed" or form == "flat":
            flows.append(models.build_nms(model, seed=trial.seed, form=form))
        for flow in flows:
            images = torch.from_numpy(noise.randint(0, 256, (2, *shape))).to(flow.dtype)
            flow.initialize(images, torch.Generator().manual_seed(0))
            if trial.recipe.optimization.l2 and not flow.shrunk_parameters():
                what = "nothing that `optimization.l2` shrinks"
                raise UserError(f"the flow {model.flow} has {what}: leave it out")
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        why = describe_failure(error, plugin)
        raise UserError(f"the flow {model.flow} ({plugin}): {why}") from error


def _check(trial: Trial, notes: dict[str, list[str]]) -> None:
    """Check a trial's flow, if it is a plug-in's, in the forms that are trained: with the splits of
    its conventional factorization, since tables change nothing in its layers, and without splits.
    """
    from lcma.models.check import check_flow

    model = trial.recipe.model
    facts = REGISTERED[model.flow]
    if facts.plugin is None:
        return
    with_splits = trial.factorization != "none"
    before = trial.pretraining.form if trial.pretraining is not None else None
    forms = [normalize(facts.conventional)] if with_splits else ["none"]
    forms += ["none"] if before in ("squeezed", "flat") else []
    for form in forms:
        key = f"{form} {model.model_dump_json()}"
        if key not in notes:
            notes[key] = check_flow(model, form)
