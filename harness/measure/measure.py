"""The interface of a measure, and taking measures of a trained flow."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from lcma import db
from lcma.harness.data import PreparedSet
from lcma.harness.data.manifest import PartName
from lcma.harness.train.devices import note_failure
from lcma.harness.train.evaluate import OnImages, evaluation_mode
from lcma.harness.train.protocol import PLAIN
from lcma.models import Flow
from lcma.sweeps.errors import UserError, describe_error
from lcma.sweeps.measures import PluginMeasure
from lcma.sweeps.plugins import locate_failure
from lcma.sweeps.recipe import Model

EVALUATED_PARTS: tuple[PartName, PartName] = ("test", "holdout")
"""Parts on which a measure is taken. The number of the first has the measure's own name."""


class NotTakenError(UserError):
    """A number of a measure is not finite, or a plug-in's code failed."""


class MeasureProtocol(Protocol):
    """How a measure is taken. Numbers by different protocols are never ranked together."""

    @property
    def name(self) -> str: ...

    @property
    def body(self) -> str: ...

    @property
    def precision(self) -> str: ...


@dataclass(frozen=True, eq=False)
class TrainedFlow:
    """A trained flow on its device, with its model's settings, its data and its seed."""

    flow: Flow
    model: Model
    prepared: PreparedSet
    seed: int
    device: torch.device


class Measure(ABC):
    """A measure of trained flows.

    It gives one or more numbers. `lcma.sweeps.measures` lists their names, units and directions.

    Args:
        name: Name of the measure and of its main number.
        protocol: Name of the protocol by which it is taken.
    """

    def __init__(self, name: str, protocol: str = PLAIN.name) -> None:
        self.name, self.protocol = name, protocol

    def find_protocol(self, model: Model) -> MeasureProtocol:
        """Return its protocol for flows of a model."""
        return PLAIN

    def is_stored_in(self, result: db.Result) -> bool:
        """Return whether a result by its protocol has this measure."""
        return result.measure(self.name) is not None

    def require_images(self, prepared: PreparedSet) -> None:  # noqa: B027 - most take any images
        """Raise UserError if a set's images are too few or too small."""

    def count_images(self, trained: TrainedFlow) -> int:
        """Return the number of images that `take` reports to ``on_images``."""
        return 0

    @abstractmethod
    def take(self, trained: TrainedFlow, on_images: OnImages) -> Sequence[db.Measurement]:
        """Measure a flow, which stays as it is.

        Args:
            trained: The flow.
            on_images: Called with the number of images since the last call.

        Raises:
            NotTakenError: A number is not finite, or a plug-in's code failed.
        """


def take_measures(
    measures: Sequence[Measure],
    trained: TrainedFlow,
    *,
    on_failure: Callable[[str, str], None] | None = None,
    progress: Callable[[int, int], None] = lambda count, total: None,
) -> list[db.Measurement]:
    """Take measures of a trained flow, each completely or not at all.

    Args:
        measures: The measures.
        trained: The flow.
        on_failure: Called with the name of a measure that fails, and why; the measure is left
            out. Without it the error is raised.
        progress: Called with the number of images since the last call, and of all.
    """
    total = sum(measure.count_images(trained) for measure in measures)
    measurements = list[db.Measurement]()
    for measure in measures:
        try:
            measurements += [*measure.take(trained, lambda count: progress(count, total))]
        except Exception as error:
            if on_failure is None:
                raise
            note_failure(error)
            expected = isinstance(error, UserError)
            on_failure(measure.name, str(error) if expected else describe_error(error))
    return measurements


def make_measurement(
    name: str,
    value: float,
    standard_error: float = math.nan,
    images: int | None = None,
    clusters: int | None = None,
) -> db.Measurement:
    """Return a number of a measure. Raises NotTakenError unless it is finite."""
    error = None if math.isnan(standard_error) else standard_error
    try:
        return db.Measurement(name, value, error, images, clusters)
    except ValueError as failure:
        raise NotTakenError(str(failure)) from None


class DeclaredMeasure(Measure):
    """A measure that a plug-in declares."""

    def __init__(self, declared: PluginMeasure) -> None:
        super().__init__(declared.name)
        self._declared = declared

    def take(self, trained: TrainedFlow, on_images: OnImages) -> Sequence[db.Measurement]:
        measurements = []
        with evaluation_mode(trained.flow), torch.no_grad():
            for kind, part in zip(self._declared.kinds, EVALUATED_PARTS, strict=True):
                images = np.array(trained.prepared.part(part).images)
                x = torch.from_numpy(images).to(trained.device)
                try:
                    result = self._declared.compute(trained.flow, x, trained.seed)
                    value, error = result if isinstance(result, tuple) else (result, None)
                    error = None if error is None else float(error)
                    measurements.append(db.Measurement(kind.name, float(value), error, len(images)))
                except KeyboardInterrupt:
                    raise
                except BaseException as failure:  # noqa: BLE001 - a plug-in's code may even exit
                    note_failure(failure)
                    why = describe_error(failure) + locate_failure(failure)
                    raise NotTakenError(why) from None
        return measurements
