"""Measures of likelihood: bits/dim by a protocol, and the bound of several dequantizations."""

from collections.abc import Sequence

import numpy as np

from lcma import db
from lcma.db.results import bound_extent
from lcma.harness import data
from lcma.harness.averages import Mean
from lcma.harness.measure.measure import Measure, TrainedFlow, make_measurement
from lcma.harness.train.batches import Images
from lcma.harness.train.evaluate import OnImages, evaluate, sample_bound, series_bias, series_terms
from lcma.harness.train.protocol import PLAIN, Protocol, ProtocolName, find_protocol
from lcma.sweeps.measures import BITS_PER_DIM, HOLDOUT
from lcma.sweeps.recipe import Model

BOUND_DRAWS = 10
"""Draws of the bound that every training of a flow without residual blocks ends with."""

SUBSET_IMAGES = 200
"""Test images of that bound and of the series' bias. They take 5 % of the shortest trainings."""

BOUND_IMAGES = 1000
"""Most test images of a bound of `lcma measure --draws`."""


class BitsPerDim(Measure):
    """Bits/dim of all parts, the train part by as many images as test has, and a series' bias."""

    def __init__(self, protocol: ProtocolName = "plain") -> None:
        super().__init__(BITS_PER_DIM, protocol)
        self._name = protocol

    def find_protocol(self, model: Model) -> Protocol:
        return find_protocol(self._name, model)

    def count_images(self, trained: TrainedFlow) -> int:
        counts, protocol = trained.prepared.manifest.counts, self.find_protocol(trained.model)
        count = (counts.test + counts.holdout + min(counts.train, counts.test)) * protocol.draws
        has_bias = series_terms(protocol, trained.flow) and protocol.roulette_mean is None
        return count + (2 * min(counts.test, SUBSET_IMAGES) if has_bias else 0)

    def take(self, trained: TrainedFlow, on_images: OnImages) -> Sequence[db.Measurement]:
        flow, protocol = trained.flow, self.find_protocol(trained.model)
        train, holdout, test = (trained.prepared.part(part) for part in data.PARTS)
        count = min(len(train.images), len(test.images))
        train_images = train.images[np.arange(count) * len(train.images) // count]
        on_test, on_holdout, on_train = (
            evaluate(flow, Images(images, trained.device), protocol, groups, on_images)
            for images, groups in (
                (test.images, test.groups),
                (holdout.images, holdout.groups),
                (train_images, None),
            )
        )
        measurements = [
            _make(BITS_PER_DIM, on_test.bits_per_dim),
            _make(HOLDOUT, on_holdout.bits_per_dim),
            make_measurement("train_bits_per_dim", on_train.bits_per_dim.value, images=count),
            make_measurement("log_det", on_test.log_det, images=len(test.images)),
            make_measurement("log_prior", on_test.log_prior, images=len(test.images)),
        ]
        terms = series_terms(protocol, flow)
        if terms is not None:
            measurements.append(make_measurement("series_terms", float(terms)))
        subset = Images(test.images[:SUBSET_IMAGES], trained.device)
        groups = None if test.groups is None else test.groups[:SUBSET_IMAGES]
        bias = series_bias(flow, subset, protocol, groups, on_images)
        return measurements if bias is None else [*measurements, _make("series_bias", bias)]


def _make(name: str, mean: Mean) -> db.Measurement:
    return make_measurement(name, mean.value, mean.standard_error, mean.count, mean.clusters)


class KSampleBound(Measure):
    """The importance-weighted bound of ``draws`` dequantizations on the first test images."""

    def __init__(self, draws: int = BOUND_DRAWS, images: int = SUBSET_IMAGES) -> None:
        super().__init__("bound_bits_per_dim")
        self.draws, self.images = draws, images

    def is_stored_in(self, result: db.Result) -> bool:
        test = result.measure(BITS_PER_DIM)
        available = self.images if test is None or test.images is None else test.images
        return bound_extent(result) >= (self.draws, min(available, self.images))

    def count_images(self, trained: TrainedFlow) -> int:
        return self.draws * min(trained.prepared.manifest.counts.test, self.images)

    def take(self, trained: TrainedFlow, on_images: OnImages) -> Sequence[db.Measurement]:
        images = Images(trained.prepared.part("test").images[: self.images], trained.device)
        bits, gain = sample_bound(trained.flow, images, PLAIN, self.draws, on_images)
        return [
            make_measurement("bound_draws", float(self.draws)),
            make_measurement("bound_bits_per_dim", bits, images=len(images)),
            make_measurement("bound_gain", gain, images=len(images)),
        ]
