"""The invertible 1x1 convolution and how its log-determinant is shared out to channels."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lcma.models.conv1x1 import Form, InvertibleConv1x1, Share
from tests.models.conftest import draw

FORMS: tuple[Form, ...] = ("plu", "dense")
SHARES: tuple[Share, ...] = ("output", "sorted", "uniform")


def make_layer(weight: Tensor, form: Form = "plu", share: Share = "output") -> InvertibleConv1x1:
    layer = InvertibleConv1x1(len(weight), form).double().eval()
    layer.set_matrix(weight)
    layer.share = share
    return layer


def find_shares(layer: InvertibleConv1x1) -> Tensor:
    """Return what each channel gets at a pixel, (C,); it is equal at all pixels."""
    x = draw(9, 1, len(layer.matrix), 2, 3)
    contribution = layer(x)[1].detach()
    assert contribution.shape == x.shape
    assert torch.equal(contribution, contribution[:, :, :1, :1].expand_as(contribution))
    return contribution[0, :, 0, 0]


matrices = st.builds(
    lambda seed, channels: draw(seed, channels, channels), st.integers(0, 999), st.integers(1, 9)
)


@given(matrices, st.sampled_from(FORMS))
@settings(max_examples=60, deadline=None)
def test_the_map_and_its_inverse(weight: Tensor, form: Form) -> None:
    layer = make_layer(weight, form)
    assert torch.allclose(layer.matrix, weight, rtol=0, atol=1e-12)
    x = draw(1, 2, len(weight), 3, 4)
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
    layer = make_layer(weight, form, share).train(training)
    log_det = float(np.linalg.slogdet(weight.numpy()).logabsdet)
    assert float(find_shares(layer).sum()) == pytest.approx(log_det, abs=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_the_share_of_each_convention(form: Form) -> None:
    weight = draw(3, 5, 5)
    output = np.diag(scipy.linalg.logm(weight.numpy() @ weight.numpy().T)).real / 2
    values = np.log(np.linalg.svd(weight.numpy(), compute_uv=False))
    assert np.abs(output - values).max() > 0.1
    expected = {"output": output, "sorted": values, "uniform": np.full(5, values.mean())}
    for share in SHARES:
        shares = find_shares(make_layer(weight, form, share))
        np.testing.assert_allclose(shares, expected[share], atol=1e-10)
    training = make_layer(weight, form).train()
    np.testing.assert_allclose(find_shares(training), expected["uniform"], atol=1e-10)


@pytest.mark.parametrize("form", FORMS)
def test_the_matrix_starts_as_a_random_rotation(form: Form) -> None:
    first, second = (InvertibleConv1x1(12, form).matrix for _ in range(2))
    assert torch.allclose(first @ first.T, torch.eye(12), atol=1e-5)
    assert not torch.allclose(first.abs(), torch.eye(12), atol=0.1)
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_is_that_of_the_log_determinant(form: Form, training: bool) -> None:
    """Shares do not change it, not even at equal singular values, which have no gradient."""
    for weight in (draw(7, 4, 4), torch.linalg.qr(draw(8, 4, 4)).Q):
        layer = make_layer(weight, form).train(training)
        (parameter,) = layer.parameters()
        total = layer(draw(0, 1, 4, 2, 2))[1].sum()
        (gradient,) = torch.autograd.grad(total, parameter)
        of_log_det = torch.linalg.inv(weight).T if form == "dense" else torch.eye(4).double()
        assert torch.allclose(gradient, 4 * of_log_det, rtol=0, atol=1e-10)


def test_shares_follow_the_weights() -> None:
    """They are kept from one evaluation to the next, but never beyond a change of W."""
    layer = make_layer(draw(10, 4, 4))
    with torch.inference_mode():
        before = find_shares(layer).clone()
    assert torch.equal(find_shares(layer), before)
    layer(draw(1, 1, 4, 2, 2))[1].sum().backward()
    with torch.no_grad():
        layer.factors[0, 0] += 0.5
    after = find_shares(layer)
    expected = np.diag(scipy.linalg.logm((layer.matrix @ layer.matrix.T).detach().numpy())).real / 2
    np.testing.assert_allclose(after, expected, atol=1e-10)
    assert not torch.allclose(before, after)
    layer.float()
    assert layer(draw(1, 1, 4, 2, 2).float())[1].dtype == torch.float32
    layer.double().set_matrix(draw(11, 4, 4))
    layer.share = "sorted"
    values = np.log(np.linalg.svd(draw(11, 4, 4).numpy(), compute_uv=False))
    np.testing.assert_allclose(find_shares(layer), values, atol=1e-10)


def test_a_diverged_matrix_has_no_finite_share() -> None:
    layer = InvertibleConv1x1(3).eval()
    torch.nn.init.constant_(layer.factors, torch.inf)
    assert not layer(torch.zeros(1, 3, 2, 2))[1].isfinite().any()
