"""Bits/dim by a protocol, and contribution maps, compared with plain loops."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from lcma.harness.averages import clustered_mean
from lcma.harness.seeds import derive_seed
from lcma.harness.train import contribution
from lcma.harness.train.batches import Images
from lcma.harness.train.contribution import MeasuredMap, measure_maps
from lcma.harness.train.evaluate import evaluate
from lcma.harness.train.protocol import PLAIN, Protocol

COUNT = 130
"""More than one chunk of 100, and not a multiple of it."""


def perturb(flow: Any) -> Any:
    """Move the weights away from their initial values; return the flow in training mode."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return flow.train()


@pytest.fixture
def flow(workshop: Any) -> Any:
    return perturb(workshop.flow())


@pytest.fixture
def images(workshop: Any) -> Any:
    return workshop.images(COUNT)


def chunks() -> list[np.ndarray[Any, np.dtype[np.int64]]]:
    return [np.arange(0, 100), np.arange(100, COUNT)]


def noise(*purpose: Any) -> torch.Generator:
    return torch.Generator().manual_seed(derive_seed(*purpose))


@torch.no_grad()
def naive_bits(flow: Any, images: Images, draw: int, seed: int = 0) -> list[float]:
    """Return the bits/dim of each image, computed in float64."""
    flow = flow.double().eval()
    bits = []
    for indices in chunks():
        generator = noise(seed, "evaluate", draw, int(indices[0]))
        likelihood = flow(images.gather(indices), generator)
        for log_det, log_prior in zip(likelihood.log_det, likelihood.log_prior, strict=True):
            bits.append(-(float(log_det) + float(log_prior)) / (64 * math.log(2)))
    return bits


PRECISE = Protocol(name="precise", precision="float64")


def test_the_mean_over_images(flow: Any, images: Any) -> None:
    evaluation = evaluate(flow, images, PRECISE)
    bits = naive_bits(flow, images, 0)
    assert evaluation.bits_per_dim.value == pytest.approx(np.mean(bits), abs=1e-12)
    assert evaluation.bits_per_dim.standard_error == pytest.approx(
        np.std(bits, ddof=1) / math.sqrt(COUNT), rel=1e-9
    )
    assert evaluation.bits_per_dim.count == COUNT
    parts = -(evaluation.log_det + evaluation.log_prior) / (64 * math.log(2))
    assert parts == pytest.approx(evaluation.bits_per_dim.value, abs=1e-12)
    assert evaluation.log_det != evaluation.log_prior


def test_draws_are_averaged_image_by_image(flow: Any, images: Any) -> None:
    protocol = Protocol(name="three", draws=3, precision="float64", seed=5)
    mean = evaluate(flow, images, protocol).bits_per_dim
    by_draw = np.array([naive_bits(flow, images, draw, seed=5) for draw in range(3)])
    assert mean.value == pytest.approx(by_draw.mean(), abs=1e-12)
    expected = by_draw.mean(0).std(ddof=1) / math.sqrt(COUNT)
    assert mean.standard_error == pytest.approx(expected, rel=1e-9)
    assert len({round(float(m), 9) for m in by_draw.mean(1)}) == 3, "the draws differ"


def test_an_evaluation_depends_on_no_global_state(flow: Any, images: Any) -> None:
    torch.manual_seed(1)
    first = evaluate(flow, images, PLAIN)
    torch.manual_seed(2)
    torch.rand(7)
    flow.eval()
    assert evaluate(flow, images, PLAIN) == first
    assert evaluate(flow, images, Protocol(name="other", seed=1)) != first


def test_clusters_change_only_the_error(flow: Any, images: Any) -> None:
    groups = np.repeat(np.arange(13, dtype=np.int32), 10)
    clustered = evaluate(flow, images, PRECISE, groups).bits_per_dim
    independent = evaluate(flow, images, PRECISE).bits_per_dim
    assert clustered.value == independent.value
    bits = np.array(naive_bits(flow, images, 0))
    assert clustered.standard_error == pytest.approx(
        clustered_mean(bits, groups).standard_error, rel=1e-9
    )
    assert clustered.standard_error != pytest.approx(independent.standard_error, rel=1e-3)
    assert (clustered.clusters, independent.clusters) == (13, None)


def test_a_protocol_is_known_by_all_of_it() -> None:
    assert PLAIN.body == '{"draws":1,"name":"plain","precision":"float32","seed":0}'
    with pytest.raises(ValidationError):
        Protocol.model_validate({"name": "x", "draw": 2})


@torch.no_grad()
def naive_maps(flow: Any, images: Images) -> list[np.ndarray[Any, np.dtype[np.float64]]]:
    """(N, 1, 8, 8) for each split, image by image."""
    flow.eval()
    by_chunk: list[list[np.ndarray[Any, Any]]] = []
    for indices in chunks():
        at_splits = flow.contributions(
            images.gather(indices), noise(0, "map", int(indices[0]))
        ).at_splits
        by_chunk.append([m.double().numpy() for m in at_splits])
    return [np.concatenate(parts) for parts in zip(*by_chunk, strict=True)]


def cumulative_maps(*arguments: Any) -> list[MeasuredMap]:
    return [m for m in measure_maps(*arguments) if m.score == "cumulative"]


@pytest.fixture
def unsplit(workshop: Any) -> Any:
    return perturb(workshop.nms("batch"))


def test_maps_are_the_mean_over_images(unsplit: Any, images: Any) -> None:
    maps = cumulative_maps(unsplit, images)
    naive = naive_maps(unsplit, images)
    assert [m.split for m in maps] == [1, 2]
    for measured, rows in zip(maps, naive, strict=True):
        assert measured.values.dtype == measured.standard_errors.dtype == np.float32
        assert measured.values.shape == (1, 8, 8)
        np.testing.assert_allclose(measured.values, rows.mean(0), rtol=1e-6, atol=1e-7)
        expected = rows.std(0, ddof=1) / math.sqrt(COUNT)
        np.testing.assert_allclose(measured.standard_errors, expected, rtol=1e-4, atol=1e-7)
        assert (measured.images, measured.clusters) == (COUNT, None)
        assert float(np.abs(measured.values).max()) > 0.05
    assert not np.allclose(maps[0].values, maps[1].values, atol=1e-3)


def test_maps_are_of_the_first_images(
    unsplit: Any, images: Any, workshop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contribution, "MAX_IMAGES", 50)
    capped = cumulative_maps(unsplit, images, np.arange(COUNT))
    monkeypatch.undo()
    fewer = Images(images.gather(np.arange(50)).numpy(), torch.device("cpu"))
    for a, b in zip(capped, cumulative_maps(unsplit, fewer), strict=True):
        assert (a.images, a.clusters) == (50, 50)
        assert np.array_equal(a.values, b.values)
