"""Known answers of Newey and West, whose errors no gate uses, beside those that gates use for the same means."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from linearmodels.datasets import french
from statsmodels.datasets import macrodata
from statsmodels.regression.linear_model import OLS

from pytest_modelgates.errors import StatisticsError
from pytest_modelgates.stats.quantiles import Series
from pytest_modelgates.stats.resampling import optimal_block_length, stationary_bootstrap_variance
from pytest_modelgates.stats.sharpe import sharpe_of
from pytest_modelgates.stats.significance import ewc_error, ewc_p_value, newey_west_error

# linearmodels' monthly factors, n = 819: t of the mean by statsmodels at 0, 6 and 12 lags without the correction for
# small samples, and arch's block length for the stationary bootstrap.
FACTORS = [
    pytest.param("MktRF", (4.357982, 4.024566, 4.000239), 2.459523, id="market"),
    pytest.param("SMB", (1.603073, 1.548896, 1.473575), 1.525673, id="size"),
    pytest.param("HML", (3.701588, 3.180301, 3.080990), 4.601920, id="value"),
    pytest.param("Mom", (5.129107, 5.058527, 5.128830), 1.621066, id="momentum"),
]


def error_of_statsmodels(x: Series, lags: int) -> float:
    """Standard error of a mean by statsmodels."""
    return float(OLS(x, np.ones_like(x)).fit(cov_type="HAC", cov_kwds={"maxlags": lags}).bse[0])


@given(seed=st.integers(0, 2**32), n=st.integers(20, 80), data=st.data())
def test_the_error_is_that_of_statsmodels(seed: int, n: int, data: st.DataObject) -> None:
    x, lags = 5 + np.random.default_rng(seed).standard_normal(n), data.draw(st.integers(0, n - 1))
    # At n - 1 lags nothing but rounding may be left of the variance of a mean.
    assert newey_west_error(x, lags=lags) == pytest.approx(error_of_statsmodels(x, lags), rel=1e-9, abs=1e-9)


def test_lags_out_of_range_are_refused() -> None:
    for lags in (-1, 20):
        with pytest.raises(StatisticsError, match=rf"^{lags} lags of 20 values, expected from 0 to 19$"):
            newey_west_error(np.arange(20), lags=lags)


@pytest.mark.parametrize(("factor", "ratios", "block"), FACTORS)
def test_the_mean_of_a_factor_is_as_sure_as_by_newey_and_west(
    factor: str, ratios: tuple[float, float, float], block: float
) -> None:
    x = french.load()[factor].to_numpy(dtype=np.float64)
    n, mean = x.size, float(x.mean())
    assert [mean / newey_west_error(x, lags=lags) for lags in (0, 6, 12)] == pytest.approx(ratios, abs=1e-6)
    # At no lags there are no blocks: the variance is the single-value bootstrap's, and the error behind a Sharpe ratio.
    assert mean / math.sqrt(stationary_bootstrap_variance(x, block=1) / n) == pytest.approx(ratios[0], abs=1e-6)
    assert sharpe_of(x).ratio * math.sqrt(n * n / (n - 1)) == pytest.approx(ratios[0], abs=1e-6)
    # 35 cosines estimate a standard error up to 12 % (1 / sqrt(2 * 35)); two of those.
    assert mean / ewc_error(x) == pytest.approx(ratios[2], rel=0.24)
    assert optimal_block_length(x) == pytest.approx(block, abs=1e-6)


def test_a_regression_is_as_sure_as_by_the_newey_of_stata() -> None:
    # Stata, newey g_realinv g_realgdp L.realint, lag(4), in statsmodels' results_macro_ols_robust.
    data = macrodata.load_pandas().data
    investment, product = (400 * np.diff(np.log(data[name].to_numpy())) for name in ("realinv", "realgdp"))
    x = np.column_stack([product, data["realint"].to_numpy()[:-1], np.ones_like(product)])
    fit = OLS(investment, x).fit(cov_type="HAC", cov_kwds={"maxlags": 4, "use_correction": True})
    np.testing.assert_allclose(fit.params, [4.3742216647032, -0.61399696947899, -9.4816727746549], rtol=1e-11)
    errors = [0.33125644884286, 0.29582347593197, 1.1859338087713]
    np.testing.assert_allclose(fit.bse, errors, rtol=1e-11)
    np.testing.assert_allclose(fit.tvalues, [13.20494, -2.07555, -7.99511], atol=5e-6)
    # What each quarter adds to a coefficient is a series whose mean is the coefficient's error. 13 cosines: up to 20 %.
    influence = len(x) * (x * fit.resid[:, np.newaxis]) @ np.linalg.inv(x.T @ x)
    small = math.sqrt(len(x) / (len(x) - 3))
    ours = [small * newey_west_error(column, lags=4) for column in influence.T]
    np.testing.assert_allclose(ours, errors, rtol=1e-11)
    np.testing.assert_allclose([ewc_error(column) for column in influence.T], errors, rtol=0.40)


@pytest.mark.parametrize(("width", "n"), [(1, 250), (5, 500), (5, 1250)], ids=["independent", "overlap", "long"])
def test_cosines_decide_like_newey_and_west_with_fixed_b(width: int, n: int) -> None:
    # Kiefer and Vogelsang 2005: one-sided critical value of the Bartlett kernel at 10 %, the lags being b n.
    lags, runs = round(1.3 * math.sqrt(n)), 300
    b = lags / n
    critical = 1.2816 + 1.3040 * b + 0.5135 * b**2 - 0.3386 * b**3
    theirs, ours = np.empty((2, runs), dtype=bool)
    for run in range(runs):
        noise = np.random.default_rng([run, n]).standard_normal(n + width - 1)
        # Shifted until half of all samples are significant, where two tests differ most.
        x = np.convolve(noise, np.ones(width) / width, "valid") + 1.2816 / math.sqrt(n)
        theirs[run] = x.mean() / newey_west_error(x, lags=lags) > critical
        ours[run] = ewc_p_value(x)[0] < 0.10
    assert (theirs == ours).mean() >= 0.9
    assert 0.4 <= theirs.mean() <= 0.6
