"""Churn, spend and next orders by one network: a shared GRU over order days and a head for each.

It learns from past dates, 30 days apart, whose 90 days had ended by the cut, and stops when
customers held out are no longer predicted better at the newest of these dates. It needs torch, so
it runs in the product's environment; like other peers it reads nothing but the exported inputs.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits as log_loss

from benchmarks.peers.deep_rows import HORIZON_DAYS, Orders, Rows, joined
from benchmarks.predictions import Predictions, for_each_cut

MODEL = "deep_multitask"
STEP_DAYS, LEAST_DAYS, DATES = 30, 60, 10
CUSTOMERS, HELD_OUT = 4_000, 5  # learnt from at most; every fifth says when to stop
HIDDEN, DROPOUT = 32, 0.1
BATCH, EPOCHS, PATIENCE, RATE, DECAY = 256, 20, 3, 3e-3, 1e-2
WEIGHT_SPEND = 0.5
LARGEST_LOG = 8.0  # of spend beside the mean
SEED, CHUNK, SHOWN = 7, 4_096, 3
COLUMNS = ["customer_id", "order_probability", "spend", "days_p50", "amount_p50", "families"]
ORDERED, SPEND, WAIT, AMOUNT, OTHERS = range(5)  # places of the heads; families from OTHERS on


class Network(nn.Module):
    """Logit of an order, log spend, log wait, log amount beside the own, logits of families."""

    events: torch.Tensor

    def __init__(self, events: torch.Tensor, past: Rows) -> None:
        """Begin with what the past rows were on average.

        Args:
            events: See `Orders.events`.
            past: Rows to learn from, with spend beside its mean.
        """
        super().__init__()
        self.register_buffer("events", events, persistent=False)
        self.encoder = nn.GRU(events.shape[1] + 1, HIDDEN, batch_first=True)
        width = HIDDEN + past.facts.shape[1]
        self.body = nn.Sequential(nn.Linear(width, 2 * HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT))
        self.heads = nn.Linear(2 * HIDDEN, past.followed.shape[1])
        bought = past.followed[past.followed[:, ORDERED] > 0]
        with torch.no_grad():
            self.heads.bias[ORDERED] = _logit(past.followed[:, ORDERED].mean())
            self.heads.bias[SPEND] = 0
            self.heads.bias[WAIT:OTHERS] = bought[:, WAIT:OTHERS].median(dim=0).values
            self.heads.bias[OTHERS:] = 0  # beside the own share

    def forward(self, rows: Rows) -> torch.Tensor:
        """All heads of each row, shape (n, OTHERS + n_families)."""
        events = torch.cat([self.events[rows.places], rows.ago[:, :, None]], dim=2)
        states, _ = self.encoder(events * rows.exists[:, :, None])
        given = self.heads(self.body(torch.cat([states[:, -1], rows.facts], dim=1)))
        count = given.shape[1] - OTHERS
        own = _logit(rows.facts[:, rows.facts.shape[1] - count :])
        return torch.cat([given[:, :OTHERS], given[:, OTHERS:] + own], dim=1)


def _logit(share: torch.Tensor) -> torch.Tensor:
    return torch.logit(share.clamp(0.001, 0.999))


def loss_of(given: torch.Tensor, followed: torch.Tensor) -> torch.Tensor:
    """Log loss, Tweedie deviance of power 1.5, and of those who ordered absolute errors of logs."""
    ordered, spend = followed[:, ORDERED], followed[:, SPEND]
    half = given[:, SPEND].clamp(-LARGEST_LOG, LARGEST_LOG) / 2
    deviance = 2 * spend * torch.exp(-half) + 2 * torch.exp(half)
    following = (given[:, WAIT:OTHERS] - followed[:, WAIT:OTHERS]).abs().sum(dim=1)
    if given.shape[1] > OTHERS:
        has = log_loss(given[:, OTHERS:], followed[:, OTHERS:], reduction="none")
        following = following + has.sum(dim=1)
    whole = WEIGHT_SPEND * deviance + ordered * following
    return log_loss(given[:, ORDERED], ordered) + whole.mean()


@dataclass(frozen=True)
class Fitted:
    """A network that has learnt, and the mean spend that its spend is beside."""

    network: Network
    mean_spend: float

    def predict(self, orders: Orders) -> pd.DataFrame:
        """Predictions of all customers at the cut: those of both tables."""
        who = np.arange(len(orders.ids))
        with torch.no_grad():
            parts = [
                self.network(orders.rows(who[start : start + CHUNK], orders.cut, is_past=False))
                for start in range(0, len(who), CHUNK)
            ]
        given = torch.cat(parts).double()
        usual = torch.from_numpy(orders.usual_amount(who, orders.cut))
        amount = (given[:, AMOUNT] + usual) * orders.spread + orders.level
        spend = given[:, SPEND].clamp(-LARGEST_LOG, LARGEST_LOG).exp() * self.mean_spend
        best = np.argsort(-given[:, OTHERS:].numpy(), axis=1, kind="stable")[:, :SHOWN]
        return pd.DataFrame(
            {
                "customer_id": orders.ids,
                "order_probability": given[:, ORDERED].sigmoid().numpy(),
                "spend": spend.numpy(),
                "days_p50": given[:, WAIT].exp().clamp(1, HORIZON_DAYS).numpy() - 1,
                "amount_p50": amount.exp().numpy(),
                "families": orders.names[best].tolist(),
            }
        )


def fit(orders: Orders, seed: int = SEED) -> Fitted | None:
    """Learn from past dates; None if no date's 90 days had ended, or nobody ordered in them."""
    days = [orders.cut - HORIZON_DAYS - STEP_DAYS * number for number in range(DATES)]
    days = [day for day in days if day >= LEAST_DAYS]
    random = np.random.default_rng(seed)
    who = random.permutation(len(orders.ids))[:CUSTOMERS]
    held, learning = np.sort(who[::HELD_OUT]), np.sort(np.delete(who, np.s_[::HELD_OUT]))
    if not days or not len(orders.known(learning, days[0])) or not len(orders.known(held, days[0])):
        return None
    past = joined([orders.rows(orders.known(learning, day), day, is_past=True) for day in days])
    newest = orders.rows(orders.known(held, days[0]), days[0], is_past=True)
    mean_spend = float(past.followed[:, SPEND].mean())
    if mean_spend <= 0 or not (past.followed[:, ORDERED] > 0).any():
        return None
    for rows in (past, newest):
        rows.followed[:, SPEND] /= mean_spend
    torch.manual_seed(seed)
    network = Network(orders.events, past)
    _learn(network, past, newest, random)
    return Fitted(network.eval(), mean_spend)


def _learn(network: Network, past: Rows, newest: Rows, random: np.random.Generator) -> None:
    """Improve the network until the newest rows are no longer predicted better; keep the best."""
    steps = EPOCHS * -(-len(past) // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses: list[float] = []
    best: dict[str, torch.Tensor] = {}
    while len(losses) < EPOCHS and len(losses) - int(np.argmin(losses or [0])) <= PATIENCE:
        network.train()
        for batch in torch.from_numpy(random.permutation(len(past))).split(BATCH):
            rows = past.at(batch)
            optimiser.zero_grad()
            loss_of(network(rows), rows.followed).backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            losses.append(float(loss_of(network(newest), newest.followed)))
        if losses[-1] == min(losses):
            best = copy.deepcopy(network.state_dict())
    network.load_state_dict(best)


def predict(table: str, folder: Path, cut: pd.Timestamp) -> Predictions:
    """Predictions of one cut for `customers` (churn and value) or `next_orders`."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)  # sums of several threads depend on their number
    days = pd.read_parquet(folder / "customer_days.parquet")
    families = pd.read_parquet(folder / "day_families.parquet")
    predictions = Predictions()
    with predictions.timed(MODEL):
        orders = Orders(days, families, cut)
        fitted = fit(orders)
        nothing = pd.DataFrame({"customer_id": orders.ids}, columns=COLUMNS)
        found = fitted.predict(orders) if fitted else nothing
    if table == "next_orders":
        predictions.add(MODEL, dict(found[["customer_id", "days_p50", "amount_p50", "families"]]))
        return predictions
    for horizon, column in ((0, "order_probability"), (HORIZON_DAYS, "spend")):
        predictions.add(MODEL, dict(found[["customer_id", column]], horizon_days=horizon))
    return predictions


if __name__ == "__main__":
    for_each_cut(sys.argv[2:], partial(predict, sys.argv[1]))
