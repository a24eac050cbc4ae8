"""The invertible 1x1 convolution and how its log-determinant is shared out to channels."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lcma.models.conv1x1 import Form, InvertibleConv1x1, Share, use_share

FORMS: tuple[Form, ...] = ("plu", "dense")
SHARES: tuple[Share, ...] = ("output", "sorted", "uniform")


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).normal(size=shape))


def layer_of(weight: Tensor, form: Form = "plu", share: Share = "output") -> InvertibleConv1x1:
    layer = InvertibleConv1x1(len(weight), form).double().eval()
    layer.set_matrix(weight)
    layer.share = share
    return layer


def shares_of(layer: InvertibleConv1x1) -> Tensor:
    """What each channel gets at a pixel, (C,); equal at all pixels."""
    x = drawn(9, 1, len(layer.matrix), 2, 3)
    contribution = layer(x)[1].detach()
    assert contribution.shape == x.shape
    assert torch.equal(contribution, contribution[:, :, :1, :1].expand_as(contribution))
    return contribution[0, :, 0, 0]


matrices = st.builds(
    lambda seed, channels: drawn(seed, channels, channels), st.integers(0, 999), st.integers(1, 9)
)


@given(matrices, st.sampled_from(FORMS))
@settings(max_examples=60, deadline=None)
def test_the_map_and_its_inverse(weight: Tensor, form: Form) -> None:
    layer = layer_of(weight, form)
    assert torch.allclose(layer.matrix, weight, rtol=0, atol=1e-12)
    x = drawn(1, 2, len(weight), 3, 4)
    y = layer(x)[0]
    expected = torch.einsum("ij,bjhw->bihw", weight, x)
    assert torch.allclose(y, expected, rtol=0, atol=1e-11)
    condition = float(torch.linalg.cond(weight))
    assert torch.allclose(layer.inverse(y), x, rtol=0, atol=1e-13 * max(10.0, condition))


@given(matrices, st.sampled_from(FORMS), st.sampled_from(SHARES), st.booleans())
@settings(max_examples=60, deadline=None)
def test_shares_add_up_to_the_log_determinant(
    weight: Tensor, form: Form, share: Share, training: bool
) -> None:
    layer = layer_of(weight, form, share).train(training)
    log_det = float(np.linalg.slogdet(weight.numpy()).logabsdet)
    assert float(shares_of(layer).sum()) == pytest.approx(log_det, abs=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_the_share_of_each_convention(form: Form) -> None:
    weight = drawn(3, 5, 5)
    output = np.diag(scipy.linalg.logm(weight.numpy() @ weight.numpy().T)).real / 2
    values = np.log(np.linalg.svd(weight.numpy(), compute_uv=False))
    expected = {"output": output, "sorted": values, "uniform": np.full(5, values.mean())}
    found = {share: shares_of(layer_of(weight, form, share)).numpy() for share in SHARES}
    for share in SHARES:
        np.testing.assert_allclose(found[share], expected[share], atol=1e-10)
    assert np.abs(found["output"] - found["sorted"]).max() > 0.1
    training = layer_of(weight, form).train()
    np.testing.assert_allclose(shares_of(training), expected["uniform"], atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_it_starts_orthogonal_and_from_the_global_generator(form: Form) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first = InvertibleConv1x1(12, form).matrix
        torch.manual_seed(0)
        again = InvertibleConv1x1(12, form).matrix
        other = InvertibleConv1x1(12, form).matrix
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
    assert torch.allclose(first @ first.T, torch.eye(12), atol=1e-5)
    assert not torch.allclose(first.abs(), torch.eye(12), atol=0.1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_is_that_of_the_log_determinant(form: Form, training: bool) -> None:
    """Whatever the shares, and at equal singular values too, where theirs has none."""
    for weight in (drawn(7, 4, 4), torch.linalg.qr(drawn(8, 4, 4)).Q):
        layer = layer_of(weight, form).train(training)
        (parameter,) = layer.parameters()
        total = layer(drawn(0, 1, 4, 2, 2))[1].sum()
        (found,) = torch.autograd.grad(total, parameter)
        if form == "dense":
            expected = 4 * torch.linalg.inv(weight).T
        else:
            expected = 4 * torch.eye(4, dtype=torch.float64)
        assert torch.allclose(found, expected, rtol=0, atol=1e-10)


def test_shares_follow_the_weights() -> None:
    """They are kept from one evaluation to the next, but never beyond a change of W."""
    layer = layer_of(drawn(10, 4, 4))
    with torch.inference_mode():
        before = shares_of(layer).clone()
    assert torch.equal(shares_of(layer), before)
    layer(drawn(1, 1, 4, 2, 2))[1].sum().backward()
    with torch.no_grad():
        layer.factors[0, 0] += 0.5
    after = shares_of(layer)
    expected = np.diag(scipy.linalg.logm((layer.matrix @ layer.matrix.T).detach().numpy())).real / 2
    np.testing.assert_allclose(after, expected, atol=1e-10)
    assert not torch.allclose(before, after)
    layer.float()
    assert layer(drawn(1, 1, 4, 2, 2).float())[1].dtype == torch.float32
    layer.double().set_matrix(drawn(11, 4, 4))
    layer.share = "sorted"
    values = np.log(np.linalg.svd(drawn(11, 4, 4).numpy(), compute_uv=False))
    np.testing.assert_allclose(shares_of(layer), values, atol=1e-10)


def test_use_share_is_for_the_time_of_a_block() -> None:
    flow = torch.nn.ModuleList([layer_of(drawn(k, 4, 4)) for k in range(2)])
    with use_share(flow, "sorted"):
        assert [layer.share for layer in flow] == ["sorted", "sorted"]
    assert [layer.share for layer in flow] == ["output", "output"]
