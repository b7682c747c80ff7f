"""One LSTM for all products, which predicts the quantiles of the next weeks at each week.

Its inputs are a product's weeks on the log scale minus the product's running level, so that large
and small products look alike; the calendar; the shop's mean sales; and, if known, the same week of
last year. Every past week is an origin, in one pass.

Source:
    Wen, Torkkola, Narayanaswamy and Madeka (2017), arXiv:1711.11053 (forking sequences, quantile
    loss).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from ml_tasks.demand.panel import SEASON_WEEKS, STEPS, Panel, by_sales, running_level

QUANTILES = (0.1, 0.5, 0.9)
MIN_WEEKS = 4  # weeks of a product before its first origin
HIDDEN, DECODER = 32, 24
BATCH = 128
MIN_BATCH = 32
TRAINING_STEPS = 300
ORIGINS_PER_BATCH = 24
LEARNING_RATE = 4e-3
# A sample of so many products is enough to train one small network.
MAX_TRAINED = 2_500
# Products are forecast in blocks of this size, the last one padded with NaN: the last digits of a
# matrix product depend on its size.
FORECAST_ROWS = 512
FIRST_LEVEL_WEEKS = 8
DAYS_PER_YEAR = 365.25


@dataclass(frozen=True)
class ShopRun:
    """Inputs that all products share.

    Attributes:
        run: log(1 + mean units per product) of each week, shape (n_weeks,).
        level: Running level of `run`, shape (n_weeks,).
        calendar: Position of each week in the year, shape (n_weeks + STEPS, 4).
    """

    run: np.ndarray
    level: np.ndarray
    calendar: np.ndarray


@dataclass(frozen=True)
class _Inputs:
    """Inputs of the network, float32.

    Attributes:
        encoder: Features of each past week, shape (n_products, n_weeks, n_features).
        calendar: Features of each target week, shape (n_weeks, STEPS, n_features).
        last_year: Sales in the target's week of last year minus the level of that time, log
            scale, shape (n_products, n_weeks, STEPS); 0 where unknown.
        level: Running level, log scale, shape (n_products, n_weeks).
        logs: log(1 + units), shape (n_products, n_weeks); 0 before the first sale.
        age: Weeks on sale, shape (n_products, n_weeks); 1 in the week of the first sale, 0 before.
        is_live: 1 where the week's sales are known, else 0; shape (n_products, n_weeks).
    """

    encoder: Tensor
    calendar: Tensor
    last_year: Tensor
    level: Tensor
    logs: Tensor
    age: Tensor
    is_live: Tensor


class _Network(nn.Module):
    def __init__(self, encoder_features: int, target_features: int) -> None:
        super().__init__()
        self.encoder = nn.LSTM(encoder_features, HIDDEN, batch_first=True)
        self.state = nn.Linear(HIDDEN, DECODER)
        self.target = nn.Linear(target_features + 1, DECODER, bias=False)
        self.step = nn.Parameter(torch.zeros(STEPS, DECODER))
        self.quantiles = nn.Linear(DECODER, len(QUANTILES))

    def forward(self, inputs: _Inputs, products: Tensor | slice, origins: Tensor | slice) -> Tensor:
        """Quantiles on the log scale, shape (n_products, n_origins, STEPS, 3), ascending."""
        state, _ = self.encoder(inputs.encoder[products])
        last_year = inputs.last_year[products][:, origins, :, None]
        calendar = inputs.calendar[origins].expand(len(last_year), -1, -1, -1)
        target = self.target(torch.cat([calendar, last_year], dim=-1))
        hidden = torch.relu(self.state(state[:, origins])[:, :, None] + target + self.step)
        low, median, high = self.quantiles(hidden).unbind(dim=-1)
        median = median + inputs.level[products][:, origins, None]
        below, above = nn.functional.softplus(low), nn.functional.softplus(high)
        return torch.stack([median - below, median, median + above], dim=-1)


def fit(panel: Panel, seed: int) -> bytes:
    """Train on every past week with known weeks after it.

    Args:
        panel: All products.
        seed: Seed of initial weights and batches.

    Returns:
        The weights, as safetensors. The same sales and seed give the same bytes, whatever the
        product ids.
    """
    panel = panel.only(by_sales(panel.units))
    with _reproducible(seed):
        inputs = _inputs_of(panel.units[_trained_rows(panel)], run_of(panel))
        network = _network_for(inputs)
        optimiser = torch.optim.Adam(network.parameters(), LEARNING_RATE, weight_decay=1e-5)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, LEARNING_RATE, total_steps=TRAINING_STEPS
        )
        for batch in islice(_batches(len(inputs.logs)), TRAINING_STEPS):
            origins = torch.randperm(panel.n_weeks - 1)[:ORIGINS_PER_BATCH]
            optimiser.zero_grad()
            _loss(network, inputs, batch, origins).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        return save({name: value.detach() for name, value in network.state_dict().items()})


def forecast(panel: Panel, weights: bytes, run: ShopRun) -> np.ndarray:
    """Quantiles .1, .5, .9 of log(1 + units) in the weeks to come, shape (n_products, STEPS, 3).

    Args:
        panel: Some products of the shop, or all: a product's forecast does not depend on others.
        weights: As of `fit`.
        run: As of `run_of`, from all products.
    """
    result = np.empty((len(panel.units), STEPS, len(QUANTILES)))
    newest = torch.tensor([panel.n_weeks - 1])
    with _reproducible(0), torch.no_grad():
        for start in range(0, len(panel.units), FORECAST_ROWS):
            units = panel.units[start : start + FORECAST_ROWS]
            filled = np.pad(
                units, ((0, FORECAST_ROWS - len(units)), (0, 0)), constant_values=np.nan
            )
            inputs = _inputs_of(filled, run)
            network = _network_for(inputs)
            network.load_state_dict(load(weights))
            quantiles = network(inputs, slice(None), newest)[: len(units), 0]
            result[start : start + len(units)] = quantiles.double().numpy()
    return result


def _loss(network: _Network, inputs: _Inputs, products: Tensor, origins: Tensor) -> Tensor:
    """Mean quantile loss over the known weeks after the origins."""
    n_weeks = inputs.logs.shape[1]
    targets = origins[:, None] + 1 + torch.arange(STEPS)
    within = targets.clamp(max=n_weeks - 1)
    actual = inputs.logs[products][:, within]
    counts = (inputs.age[products][:, origins] >= MIN_WEEKS)[:, :, None] & (targets < n_weeks)
    counts = counts & (inputs.is_live[products][:, within] > 0)
    error = actual[..., None] - network(inputs, products, origins)
    level = torch.tensor(QUANTILES)
    loss = torch.maximum(level * error, (level - 1) * error).sum(dim=-1)
    return (loss * counts).sum() / counts.sum().clamp(min=1)


def _trained_rows(panel: Panel) -> np.ndarray:
    """Rows of products with more than MIN_WEEKS weeks; a random sample of MAX_TRAINED at most."""
    rows = np.flatnonzero((~np.isnan(panel.units)).sum(axis=1) > MIN_WEEKS)
    return rows[torch.randperm(len(rows)).numpy()][:MAX_TRAINED]


def _batches(count_products: int) -> Iterator[Tensor]:
    """Endless batches of products, in a new random order each round; smaller in small shops."""
    size = min(BATCH, max(MIN_BATCH, count_products // 4))
    while True:
        yield from torch.randperm(count_products).split(size)


def _network_for(inputs: _Inputs) -> _Network:
    return _Network(inputs.encoder.shape[-1], inputs.calendar.shape[-1])


def run_of(panel: Panel) -> ShopRun:
    """Inputs of the network that all products share.

    Args:
        panel: All products.
    """
    count = np.maximum((~np.isnan(panel.units)).sum(axis=0), 1)
    run = np.log1p(np.nansum(panel.units, axis=0) / count)
    level = running_level(run[None], np.ones((1, len(run)), dtype=bool))[0]
    weeks = [panel.week(week) for week in range(panel.n_weeks + STEPS)]
    return ShopRun(run, level, _calendar(weeks))


def _inputs_of(units: np.ndarray, shop: ShopRun) -> _Inputs:
    is_live = ~np.isnan(units)
    logs = np.where(is_live, np.log1p(np.nan_to_num(units)), 0.0)
    age = np.cumsum(is_live, axis=1)
    level = running_level(logs, is_live)

    n_products, n_weeks = logs.shape
    by_week = np.column_stack([shop.run - shop.level, shop.calendar[:n_weeks]])
    by_product = np.stack(
        [(logs - level) * is_live, level / 3, np.log1p(age) / 4, logs > 0], axis=-1
    )
    encoder = np.concatenate(
        [by_product, np.broadcast_to(by_week, (n_products, *by_week.shape))], axis=-1
    )
    targets = np.arange(n_weeks)[:, None] + 1 + np.arange(STEPS)
    year_ago = np.maximum(targets - SEASON_WEEKS, 0)
    origin_year_ago = np.maximum(np.arange(n_weeks) - SEASON_WEEKS, 0)[:, None]
    # in the first weeks the running level is not yet meaningful
    has_year = targets - SEASON_WEEKS >= FIRST_LEVEL_WEEKS
    shop_then = np.where(has_year, shop.run[year_ago] - shop.level[origin_year_ago], 0.0)
    last_year = np.where(
        has_year & is_live[:, origin_year_ago] & is_live[:, year_ago],
        logs[:, year_ago] - level[:, origin_year_ago],
        0.0,
    )
    calendar = np.concatenate(
        [shop.calendar[targets], shop_then[..., None], has_year[..., None]], axis=-1
    )
    arrays = (encoder, calendar, last_year, level, logs, age, is_live)
    return _Inputs(*(torch.from_numpy(array.astype(np.float32)) for array in arrays))


def _calendar(weeks: list[date]) -> np.ndarray:
    """Position of each week's Thursday in the year: two harmonics, shape (n_weeks, 4)."""
    days = np.array([(week + timedelta(days=3)).timetuple().tm_yday for week in weeks])
    angle = 2 * np.pi * days / DAYS_PER_YEAR
    return np.column_stack([np.sin(angle), np.cos(angle), np.sin(2 * angle), np.cos(2 * angle)])


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Use one thread, deterministic kernels and a seeded generator; then restore the old state."""
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)
