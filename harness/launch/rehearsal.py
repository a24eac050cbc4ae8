"""A trial run of plug-ins in the launching process, before anything is changed."""

import numpy as np

from lcma.harness.launch.plan import Plan
from lcma.sweeps.architectures import REGISTERED
from lcma.sweeps.errors import UserError
from lcma.sweeps.expansion import Trial
from lcma.sweeps.factorizations import RULES, needs_maps, normalize
from lcma.sweeps.plugins import describe_failure, printing_to_stderr


def rehearse_plugins(plan: Plan) -> list[str]:
    """Make the tables of every plug-in rule; build every plug-in flow, initialize it on two noise
    images, and check its likelihood and its inverse.

    Returns a line for each check of a flow that could not be made. Raises UserError with the name
    of the plug-in if a check fails.
    """
    tried, notes = set[tuple[str, str]](), dict[str, list[str]]()
    for trial in plan.expansion.trials:
        key = trial.recipe.id, trial.factorization
        if trial.plugins and key not in tried:
            tried.add(key)
            with printing_to_stderr():
                _rehearse(trial, notes)
    return list(dict.fromkeys(line for lines in notes.values() for line in lines))


def _rehearse(trial: Trial, notes: dict[str, list[str]]) -> None:
    """Try the plug-ins of a trial; ``notes`` has the lines of each form of a flow by now."""
    import torch

    from lcma import models
    from lcma.models.check import check_flow

    model, rule = trial.recipe.model, trial.factorization
    shape = (model.channels, model.size, model.size)
    noise = np.random.RandomState(0)
    splits = range(model.splits if needs_maps(rule) else 0)
    maps = [noise.standard_normal(shape) for _ in splits]
    if rule in RULES:
        models.make_tables(rule, shape, model.splits, seed=trial.seed, maps=maps)
    facts = REGISTERED[model.flow]
    if facts.plugin is None:
        return
    # Other tables do not change a flow's layers, so that its conventional rule is enough.
    forms = ["none" if rule == "none" else normalize(facts.conventional)]
    try:
        flows = [models.build(model, rule, seed=trial.seed, maps=maps)]
        form = trial.pretraining.form if trial.pretraining is not None else None
        if form == "squeezed" or form == "flat":
            flows.append(models.build_nms(model, seed=trial.seed, form=form))
            forms.append("none")
        for flow in flows:
            images = torch.from_numpy(noise.randint(0, 256, (2, *shape))).to(flow.dtype)
            flow.initialize(images, torch.Generator().manual_seed(0))
            if trial.recipe.optimization.l2 and not flow.shrunk_parameters():
                reason = "nothing that `optimization.l2` shrinks"
                raise UserError(f"the flow {model.flow} has {reason}: leave it out")
    except (UserError, KeyboardInterrupt):
        raise
    except BaseException as error:
        why = describe_failure(error, facts.plugin)
        raise UserError(f"the flow {model.flow} ({facts.plugin}): {why}") from error
    for each in forms:
        key = f"{each} {model.model_dump_json()}"
        if key not in notes:
            notes[key] = check_flow(model, each)
