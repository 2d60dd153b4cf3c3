"""The regression: by hand, and judged by PyTorch's LBFGS and autograd on the same likelihood."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.survival import regression
from adacompress_ref.survival.regression import SPREAD, directions, fit, newton, sigmoid

KNOWN = np.linalg.inv(regression.SPREAD)  # what is known of u before any answer


def drawn(z, u, rng):
    """Whether labels survive, of a service with these two numbers."""
    return (rng.random(len(z)) < sigmoid(z + directions(z) @ u)).astype(float)


# By hand -----------------------------------------------------------------------------------------


def test_sigmoid_by_hand():
    np.testing.assert_allclose(sigmoid(np.log([1.0, 3.0, 1 / 4])), [1 / 2, 3 / 4, 1 / 5])
    np.testing.assert_allclose(sigmoid(np.array([-1e9, 1e9])), [0, 1], atol=1e-12)


def test_directions_by_hand():
    expected = [[[1, 0], [1, 1]], [[1, -1], [1, -1.25]]]
    np.testing.assert_allclose(directions(np.array([[2.5, 4.5], [0.5, 0.0]])), expected)


def test_without_an_answer_nothing_is_known():
    u, covariance = newton(np.zeros(0), np.zeros(0), KNOWN, np.array([1.0, 1.0]))
    np.testing.assert_allclose(u, [0, 0], atol=1e-12)
    np.testing.assert_allclose(covariance, regression.SPREAD)


def test_answers_as_expected_leave_u_and_narrow_it():
    # half of them survive where P is 1/2: four times P (1 - P) is 1
    u, covariance = newton(np.zeros(4), np.array([0.0, 1, 1, 0]), KNOWN, np.zeros(2))
    np.testing.assert_allclose(u, [0, 0], atol=1e-12)
    # phi(0) = (1, -1.25)
    information = [[1 / 0.64 + 1, -1.25], [-1.25, 1 / 0.3 + 1.5625]]
    np.testing.assert_allclose(covariance, np.linalg.inv(information))


def test_one_number_alone_is_where_both_pulls_are_equal():
    # at z = 2.5 only the first number matters; the second stays as it was
    u, _ = newton(np.full(10, 2.5), np.zeros(10), KNOWN, np.zeros(2))
    assert u[1] == pytest.approx(0, abs=1e-9)
    assert u[0] / 0.64 == pytest.approx(-10 * sigmoid(2.5 + u[0]), abs=1e-6)


# Outside judges ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="torch is not installed: it is the judge")


def minimised(torch, loss, start):
    """Where a smooth loss is least, by LBFGS."""
    value = torch.tensor(np.asarray(start, np.float64), requires_grad=True)
    search = torch.optim.LBFGS(
        [value], max_iter=500, tolerance_grad=1e-10, tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def closure():
        search.zero_grad()
        current = loss(value)
        current.backward()
        return current

    search.step(closure)
    return value.detach().numpy()


def entropy(torch, logits, kept):
    """Minus the log likelihood."""
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, kept, reduction="sum")


def posterior(torch, z, kept, precision):
    """Minus the logarithm of u's, but for a constant."""
    z, kept, precision = (torch.tensor(np.asarray(each)) for each in (z, kept, precision))
    phi = torch.stack([torch.ones_like(z), (z - 2.5) / 2], dim=1)
    return lambda u: entropy(torch, z + phi @ u, kept) + u @ precision @ u / 2


@pytest.mark.parametrize("truth", [(0.0, 0.0), (1.0, 0.5), (-2.0, 0.8), (-3.0, -1.0), (2.0, -2.0)])
@pytest.mark.parametrize("count", [1, 12, 300])
def test_u_is_where_lbfgs_finds_it_and_its_covariance_the_inverse_hessian(torch, truth, count):
    rng = np.random.default_rng(count)
    z = rng.normal(2.5, 2, count)
    kept = drawn(z, truth, rng)
    u, covariance = newton(z, kept, KNOWN, np.zeros(2))
    loss = posterior(torch, z, kept, KNOWN)
    expected = minimised(torch, loss, [0, 0])
    np.testing.assert_allclose(u, expected, atol=1e-4)
    hessian = torch.autograd.functional.hessian(loss, torch.tensor(expected))
    np.testing.assert_allclose(covariance, np.linalg.inv(hessian), rtol=1e-3, atol=1e-6)


def test_the_covariance_by_finite_differences():
    rng = np.random.default_rng(1)
    z = rng.normal(2, 2, 60)
    kept = drawn(z, [-1, 0.5], rng)
    u, covariance = newton(z, kept, KNOWN, np.zeros(2))

    def minus_log(u):
        survival = sigmoid(z + directions(z) @ u)
        likelihood = kept * np.log(survival) + (1 - kept) * np.log(1 - survival)
        return u @ KNOWN @ u / 2 - likelihood.sum()

    step = 1e-3 * np.eye(2)
    hessian = [
        [
            sum(
                one * other * minus_log(u + one * step[i] + other * step[j])
                for one in (1, -1)
                for other in (1, -1)
            )
            / 4e-6
            for j in range(2)
        ]
        for i in range(2)
    ]
    np.testing.assert_allclose(covariance, np.linalg.inv(hessian), rtol=1e-3)


@given(
    st.lists(st.tuples(st.floats(-2, 8), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60),
    st.tuples(st.floats(-1, 1), st.floats(-1, 1)),
)
def test_u_is_where_the_slope_of_its_posterior_is_0(answers, guess):
    z, kept = np.array(answers).T
    u, covariance = newton(z, kept, KNOWN, np.array(guess))
    slope = directions(z).T @ (kept - sigmoid(z + directions(z) @ u)) - KNOWN @ u
    np.testing.assert_allclose(covariance @ slope, [0, 0], atol=1e-3)
    assert (np.linalg.eigvalsh(covariance) > 0).all()
    # no answer makes less known
    assert (np.linalg.eigvalsh(regression.SPREAD - covariance) > -1e-9).all()


@pytest.mark.parametrize("level", [-6, -4.5, -3, 7])
@pytest.mark.parametrize("spread", [0.2, 1.0])
def test_a_service_that_is_not_as_expected_at_all_is_met_too(torch, level, spread):
    """As P has it nearly all are lost or kept, of images alike; here half of them are."""
    rng = np.random.default_rng(0)
    z, kept = rng.normal(level, spread, 100), np.arange(100) % 2.0
    sigma = np.array([[1.4, 0.3], [0.3, 0.3]])
    u, _ = newton(z, kept, np.linalg.inv(sigma), np.zeros(2))
    expected = minimised(torch, posterior(torch, z, kept, np.linalg.inv(sigma)), [0, 0])
    np.testing.assert_allclose(u, expected, atol=1e-3)


# Several services --------------------------------------------------------------------------------

WEIGHTS = np.array([1.5, -0.8, 0.0, 0.5])


def answers(us, count=400, seed=0):
    """Inputs [n, 4], whether labels survived, and of which service."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal([0, 3, -1, 0], [1, 0.5, 2, 0.1], (count * len(us), 4))
    service = np.repeat(np.arange(len(us)), count)
    z = inputs @ WEIGHTS + 4
    rates = z + (directions(z) * np.array(us)[service]).sum(axis=1)
    kept = (rng.random(len(z)) < sigmoid(rates)).astype(float)
    return inputs, kept, service, z


US = [(1.0, 0.5), (-1.5, 0.2), (0.3, -0.6), (0.0, 0.0)]


@pytest.mark.parametrize("us", [US[:1], US], ids=len)
def test_a_fit_is_what_lbfgs_finds_by_the_same_turns(torch, us):
    """w given each u; each u given w and Sigma; Sigma from the u and what is not known of them."""
    inputs, kept, service, _ = answers(us, 150)
    w, sigma = fit(inputs, kept, service)
    x = np.column_stack([(inputs - inputs.mean(0)) / inputs.std(0), np.ones(len(inputs))])
    design, wanted = torch.tensor(x), torch.tensor(kept)
    penalty = torch.tensor([2.0] * 4 + [1e-3], dtype=torch.float64)
    found, own, spread = np.zeros(5), np.zeros((len(us), 2)), np.diag([0.64, 0.3])
    z = x @ found
    for _ in range(6):
        offset = torch.tensor((directions(z) * own[service]).sum(axis=1))
        found = minimised(
            torch,
            lambda w, offset=offset: (
                entropy(torch, design @ w + offset, wanted) + (penalty * w * w).sum() / 2
            ),
            found,
        )
        z, total = x @ found, 2 * SPREAD
        for number in range(len(us)):
            here = service == number
            loss = posterior(torch, z[here], kept[here], np.linalg.inv(spread))
            own[number] = minimised(torch, loss, own[number])
            hessian = torch.autograd.functional.hessian(loss, torch.tensor(own[number]))
            total = total + np.outer(own[number], own[number]) + np.linalg.inv(hessian.numpy())
        spread = total / (len(us) + 2)
    np.testing.assert_allclose(inputs @ w[:-1] + w[-1], z, atol=0.02)
    np.testing.assert_allclose(sigma, spread, atol=0.01)


def test_what_all_services_have_in_common_is_found():
    inputs, kept, service, z = answers(US, 2000)
    w, sigma = fit(inputs, kept, service)
    # u is 0 in the mean over services: -0.05 and 0.025 here
    assert np.corrcoef(inputs @ w[:-1], z)[0, 1] > 0.99
    np.testing.assert_allclose(w[:3], WEIGHTS[:3], atol=0.35)
    assert (np.linalg.eigvalsh(sigma) > 0).all()
    alike = fit(*answers([(0.0, 0.0)] * 4, 2000)[:3])[1]
    # what was known before any service counts as two, and four are alike
    np.testing.assert_allclose(alike, SPREAD * 2 / 6, atol=0.03)


def test_one_service_does_not_tell_how_services_differ():
    _, sigma = fit(*answers([(0.0, 0.0)], 2000)[:3])
    np.testing.assert_allclose(sigma, SPREAD * 2 / 3, atol=0.03)


def test_units_do_not_matter():
    inputs, kept, service, _ = answers(US)
    w, sigma = fit(inputs, kept, service)
    scaled, same = fit(inputs * [10, 0.1, 3, 1] + [5, -2, 0, 100], kept, service)
    np.testing.assert_allclose(scaled[:-1] * [10, 0.1, 3, 1], w[:-1], rtol=1e-5)
    np.testing.assert_allclose(same, sigma, rtol=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1234, -1.7, 2.9])
def test_of_an_input_that_is_the_same_everywhere_nothing_is_learned(constant):
    """As where all images of a camera have one size: others must not be judged by it."""
    inputs, kept, service, _ = answers(US)
    inputs = inputs.astype(np.float32)
    inputs[:, 2] = constant  # its mean in float32 is not that number
    w, _ = fit(inputs, kept, service)
    assert abs(w[2]) < 0.05


def test_accuracies_between_0_and_1_count_as_shares():
    inputs, _, service, z = answers(US)
    rates = sigmoid(z)
    w, _ = fit(inputs, rates, np.zeros_like(service))
    np.testing.assert_allclose(sigmoid(inputs @ w[:-1] + w[-1]), rates, atol=0.05)
