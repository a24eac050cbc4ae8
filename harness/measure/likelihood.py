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
"""Draws of the bound that is stored with the result of a flow without residual blocks."""

BESIDE_IMAGES = 200
"""Images of that bound and of the series' bias; it takes a twentieth of the shortest trainings."""

BOUND_IMAGES = 1000
"""Most images of a bound of `lcma measure --draws`."""


class BitsPerDim(Measure):
    """Bits/dim on all parts, of train on as many images as test has, and the bias of a series."""

    def __init__(self, protocol: ProtocolName = "plain") -> None:
        super().__init__(BITS_PER_DIM, protocol)
        self._name = protocol

    def find_settings(self, model: Model) -> Protocol:
        return find_protocol(self._name, model)

    def count_images(self, trained: TrainedFlow) -> int:
        counts, settings = trained.prepared.manifest.counts, self.find_settings(trained.model)
        whole = (counts.test + counts.holdout + min(counts.train, counts.test)) * settings.draws
        biased = series_terms(settings, trained.flow) and settings.roulette_mean is None
        return whole + (2 * min(counts.test, BESIDE_IMAGES) if biased else 0)

    def take(self, trained: TrainedFlow, on_images: OnImages) -> Sequence[db.Measurement]:
        flow, settings = trained.flow, self.find_settings(trained.model)
        train, holdout, test = (trained.prepared.part(part) for part in data.PARTS)
        some = min(len(train.images), len(test.images))
        spread = train.images[np.arange(some) * len(train.images) // some]
        of_test, of_holdout, of_train = (
            evaluate(flow, Images(images, trained.device), settings, groups, on_images)
            for images, groups in (
                (test.images, test.groups),
                (holdout.images, holdout.groups),
                (spread, None),
            )
        )
        found = [
            _make(BITS_PER_DIM, of_test.bits_per_dim),
            _make(HOLDOUT, of_holdout.bits_per_dim),
            make_measurement("train_bits_per_dim", of_train.bits_per_dim.value, images=len(spread)),
            make_measurement("log_det", of_test.log_det, images=len(test.images)),
            make_measurement("log_prior", of_test.log_prior, images=len(test.images)),
        ]
        terms = series_terms(settings, flow)
        if terms is not None:
            found.append(make_measurement("series_terms", float(terms)))
        first = Images(test.images[:BESIDE_IMAGES], trained.device)
        groups = None if test.groups is None else test.groups[:BESIDE_IMAGES]
        bias = series_bias(flow, first, settings, groups, on_images)
        return found if bias is None else [*found, _make("series_bias", bias)]


def _make(name: str, mean: Mean) -> db.Measurement:
    return make_measurement(name, mean.value, mean.standard_error, mean.count, mean.clusters)


class KSampleBound(Measure):
    """The importance-weighted bound of so many dequantizations on the first test images."""

    def __init__(self, draws: int = BOUND_DRAWS, images: int = BESIDE_IMAGES) -> None:
        super().__init__("bound_bits_per_dim")
        self.draws, self.images = draws, images

    def is_in(self, stored: db.Result) -> bool:
        test = stored.measure(BITS_PER_DIM)
        there = self.images if test is None or test.images is None else test.images
        return bound_extent(stored) >= (self.draws, min(there, self.images))

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
