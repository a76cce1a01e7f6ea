"""Training: all dams at once, networks of one kind as one stack, each stopped where its validation says so.

The rows of all dams lie in memory as tensors and are cut into batches there; pytorch-lightning runs the
epochs, one step of its own each. What is minimised is what is judged: the absolute error over the
persistence error, per dam and lead. Every member of a stack trains as if it trained alone: its seed gives
its start and its order of the examples, its gradient is clipped and its best epoch kept by itself.
"""

from __future__ import annotations

import copy
import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import ReadingSeries
from warning.errors import ModelError
from warning.forecasting.ahead import AHEAD_COUNT, RAIN_COLUMNS, RELEASE_COLUMNS
from warning.forecasting.examples import Examples, gather_examples
from warning.forecasting.networks import build_twin
from warning.forecasting.stacked import Sheet, Stack, stacked
from warning.forecasting.training_plan import (
    Member,
    SiteSplit,
    State,
    TrainedNetworks,
    TrainingLog,
    TrainingSettings,
    merged,
)

Progress = Callable[[str, float], None]
_CHECK_ROWS = 512
_TOLD = [HORIZON_DAYS, HORIZON_DAYS, AHEAD_COUNT]  # z, counts and what is known ahead lie side by side
_LARGEST_NORM = 1.0  # of a member's gradient


def train(
    histories: Mapping[str, tuple[ReadingSeries, SiteSplit]],
    settings: TrainingSettings,
    on_progress: Progress | None = None,
    parts: Sequence[int] | None = None,
) -> TrainedNetworks:
    """Train the networks on all dams: all, or those in the `parts` of `settings.parts()`.

    Equal input, settings and machine give equal parameters. `on_progress` hears what is being done and
    which share of the whole is behind it. Raises ModelError where no dam has anything to learn from, or
    the loss stops being a number.
    """
    report = on_progress or _silent
    device = choose_device(settings.device)
    everything = settings.parts(halves=device == "cpu")
    chosen = [everything[i] for i in (range(len(everything)) if parts is None else parts)]
    report("gathering examples", 0.0)
    steps = max(int(member.spec.options["steps"]) for part in chosen for member in part)
    learn, check = gather_examples(histories, steps, settings.most_examples, settings.seed)
    sites = len(histories)
    rows = Rows(learn, device), Rows(check, device)
    shares = []
    for done, part in enumerate(chosen):

        def tell(share: float, done: int = done, part: tuple[Member, ...] = part) -> None:
            report(f"training {_names(part)}", (done + share) / len(chosen))

        shares.append(_fit(part, *rows, sites, settings, tell))
    report("trained", 1.0)
    names = {member.spec.name for part in chosen for member in part}
    return merged(tuple(spec for spec in settings.specs() if spec.name in names), shares)


def choose_device(wanted: str) -> str:
    """Return "cuda" or "cpu" for "auto", else what was wanted.

    Raises ModelError where CUDA is asked for and not there.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ModelError("device cuda was asked for and torch finds none; use auto or cpu")
    return wanted


def _silent(doing: str, share: float) -> None:
    """Progress that nobody asked for."""


def _names(members: Sequence[Member]) -> str:
    names = [member.spec.name for member in members]
    return names[0] if len(set(names)) == 1 else f"{names[0]} to {names[-1]}"


class Rows:
    """Examples as tensors on the device."""

    def __init__(self, examples: Examples, device: str) -> None:
        self.inputs, self.sites = (
            torch.from_numpy(array).to(device) for array in (examples.inputs, examples.sites)
        )
        told = np.concatenate([examples.z, examples.counts, examples.ahead], axis=1)
        self._told = torch.from_numpy(told).to(device)
        self.z, self.counts, self.ahead = torch.split(self._told, _TOLD, dim=1)
        self.anything_ahead = bool((self.ahead != 0).any())

    def __len__(self) -> int:
        return len(self.sites)

    def take(self, rows: torch.Tensor, days: int) -> Batch:
        """Return the examples in each member's `rows` (k, B), of their inputs the last `days`."""
        chosen = rows.flatten()
        inputs = self.inputs[:, -days:].index_select(0, chosen).view(*rows.shape, days, -1)
        told = self._told.index_select(0, chosen).view(*rows.shape, -1).transpose(1, 2).contiguous()
        return Batch(inputs.permute(0, 2, 3, 1), *torch.split(told, _TOLD, dim=1))


class Batch(NamedTuple):
    """Rows of k members: inputs (k, days, features, B), z, counts (k, 7, B) and ahead (k, AHEAD_COUNT, B)."""

    inputs: torch.Tensor
    z: torch.Tensor
    counts: torch.Tensor
    ahead: torch.Tensor


class Fitting(pl.LightningModule):
    """A stack under training; a member's loss is its mean absolute error in persistence errors.

    What is checked and kept is `average`, a moving average of the parameters over the steps. Members that
    stop getting better leave the stack; `best` holds what each was at its best.
    """

    def __init__(
        self,
        members: Sequence[Member],
        stack: Stack,
        learn: Rows,
        check: Rows,
        sites: int,
        settings: TrainingSettings,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.stack = stack.to(learn.inputs.device)
        self.average = copy.deepcopy(stack).requires_grad_(False)
        self._sheet, self._average_sheet = Sheet(self.stack), Sheet(self.average)
        self.best = [Best(member) for member in members]
        self._training = list(self.best)  # those still in the stack, in its order
        self._orders = [torch.Generator().manual_seed(member.seed) for member in members]
        self._losses_of_knowledge = [torch.Generator().manual_seed(member.seed + 1) for member in members]
        self._lost = lost_knowledge(learn.ahead)
        self.learn, self.settings = learn, settings
        self._check, self._sites = check, sites
        self._steps = 0

    def training_step(self, batch: int, batch_index: int) -> None:
        """One epoch: every member sees every example once, each in its own new order."""
        count, size = len(self.learn), self.settings.batch_size
        order = torch.stack([torch.randperm(count, generator=own) for own in self._orders]).to(self.device)
        ways = torch.stack([_ways(count, own) for own in self._losses_of_knowledge]).to(self.device)
        optimizer, total = self._optimizer(), self.learn.z.new_zeros(len(self._training))
        for start in range(0, count, size):
            some = slice(start, start + size)
            total += self._pass_back(order[:, some], ways[:, some])
            optimizer.step()
            self._follow()
        self._require_numbers(total)

    @torch.no_grad()
    def _pass_back(self, rows: torch.Tensor, ways: torch.Tensor) -> torch.Tensor:
        """Leave the gradients of the members' losses on their `rows`, and return the losses (k,).

        The gradient of a mean absolute error is the sign of each error times what it counts; from there to
        the parameters the way back is written out: on networks as small as these autograd costs a tenth more.
        """
        inputs, z, counts, ahead = self.learn.take(rows, max(self.stack.steps))
        (memory, to_parameters), today = self.stack.learn(inputs), inputs[:, -1]
        wrong = self.stack.head(memory, today) - z
        onto = _weights(counts) * wrong.sign()
        d_memory, gradients = self.stack.head.back(memory, today, onto)
        gradients = {**gradients, **to_parameters(d_memory)}
        if self.stack.correction is not None and self.learn.anything_ahead:
            ahead = ahead * self._lost[ways].transpose(1, 2)
            known = _weights(counts * (ahead != 0).any(dim=1, keepdim=True))
            moved = self.stack.correction.back(today, ahead, lambda move: known * (wrong + move).sign())
            gradients = {**gradients, **moved}
        self._clip(self._sheet.hand_in(gradients))
        losses: torch.Tensor = (onto * wrong).sum(dim=(1, 2))
        return losses

    def validation_step(self, batch: int, batch_index: int) -> None:
        """Judge each member: the geometric mean over dams and leads of the error over persistence's."""
        k = len(self._training)
        errors = self._check.z.new_zeros(self._sites, k, HORIZON_DAYS)
        known = self._check.z.new_zeros(self._sites, HORIZON_DAYS)
        for start in range(0, len(self._check), _CHECK_ROWS):
            rows = torch.arange(start, min(start + _CHECK_ROWS, len(self._check)), device=self.device)
            sites = self._check.sites[rows]
            inputs, z, counts, _ = self._check.take(rows[None], max(self.stack.steps))
            wrong = counts * (self.average(inputs) - z).abs()
            errors.index_add_(0, sites, wrong.permute(2, 0, 1))
            known.index_add_(0, sites, (counts[0].T > 0).to(known.dtype))
        ratios = (errors.transpose(0, 1)[:, known > 0] / known[known > 0]).clamp(min=1e-6)
        self._judge(ratios.log().mean(dim=1).exp().tolist())

    def on_train_epoch_end(self) -> None:
        schedule: Any = self.lr_schedulers()
        schedule.step()

    def configure_optimizers(self) -> Any:
        settings = self.settings
        optimizer = torch.optim.AdamW(
            [self._sheet.values], lr=settings.learning_rate, weight_decay=settings.weight_decay, fused=True
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
            optimizer, settings.max_epochs, eta_min=settings.learning_rate / 20
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _optimizer(self) -> torch.optim.Optimizer:
        optimizer = self.optimizers(use_pl_optimizer=False)
        if isinstance(optimizer, list):
            raise TypeError("one optimizer was configured, Lightning holds several")
        return optimizer

    def _clip(self, gradients: torch.Tensor) -> None:
        """Shorten each member's gradient to `_LARGEST_NORM`, whatever the others' are.

        That of its correction is shortened by itself, so that it cannot touch the rest.
        """
        first = self._sheet.corrections
        for part in (gradients[:, :first], gradients[:, first:]):
            norms = torch.linalg.vector_norm(part, dim=1, keepdim=True)
            part.mul_((_LARGEST_NORM / (norms + 1e-6)).clamp(max=1.0))

    def _follow(self) -> None:
        """Let the average follow; early on, when little is averaged yet, faster."""
        self._steps += 1
        share = 1.0 - min(self.settings.averaging, self._steps / (self._steps + 9.0))
        self._average_sheet.values.data.lerp_(self._sheet.values.data, share)

    def _require_numbers(self, losses: torch.Tensor) -> None:
        epoch = self.current_epoch + 1
        for best, loss in zip(self._training, losses.tolist(), strict=True):
            if not math.isfinite(loss):
                raise ModelError(
                    f"training {best.member.spec.name}: the loss became {loss} in epoch {epoch}; "
                    "lower the learning rate or look for absurd readings in the training parts"
                )

    def _judge(self, losses: Sequence[float]) -> None:
        """Keep the parameters of each member's best epoch; let those go that no longer get better."""
        epoch = self.current_epoch + 1
        staying = []
        for i, (best, loss) in enumerate(zip(self._training, losses, strict=True)):
            best.losses.append(loss)
            if loss < best.loss:
                best.loss, best.epoch = loss, epoch
                best.state = {name: _plain(value) for name, value in self.average.member_state(i).items()}
            if epoch - best.epoch < self.settings.patience:
                staying.append(i)
        if not staying:
            self.trainer.should_stop = True
        elif len(staying) < len(self._training):
            self._keep(staying)

    def _keep(self, staying: list[int]) -> None:
        """Go on with these members alone: their parameters, their optimizer's memory, their orders."""
        memory = self._optimizer().state[self._sheet.values]
        for name in ("exp_avg", "exp_avg_sq"):
            memory[name] = memory[name][staying]
        for stack, sheet in ((self.stack, self._sheet), (self.average, self._average_sheet)):
            stack.keep(staying)
            sheet.keep(staying)
        self._training = [self._training[i] for i in staying]
        self._orders = [self._orders[i] for i in staying]
        self._losses_of_knowledge = [self._losses_of_knowledge[i] for i in staying]


class Best:
    """A member, its validation loss after each epoch, and its best epoch, counted from 1; 0 is none."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.losses: list[float] = []
        self.loss = math.inf
        self.epoch = 0
        self.state: State = {}


class _Reporter(pl.Callback):
    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell

    def on_train_epoch_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        self._tell(trainer.current_epoch / (trainer.max_epochs or 1))


def _fit(
    members: Sequence[Member],
    learn: Rows,
    check: Rows,
    sites: int,
    settings: TrainingSettings,
    tell: Callable[[float], None],
) -> TrainedNetworks:
    """Train `members` together, each from its seed, and return each with its best parameters."""
    networks = []
    for member in members:
        torch.manual_seed(member.seed)
        networks.append(build_twin(member.spec))
    torch.manual_seed(members[0].seed)
    fitting = Fitting(members, stacked(networks), learn, check, sites, settings)
    run(fitting, tell)
    states: dict[str, State] = {}
    log = []
    for best in fitting.best:
        name, twin = best.member.spec.name, best.member.twin
        if not best.state:
            raise ModelError(f"training {name}: no epoch gave a finite validation loss")
        states.setdefault(name, {}).update(
            {f"twins.{twin}.{key}": value for key, value in best.state.items()}
        )
        log.append(TrainingLog(name, twin, best.epoch, best.loss))
    specs = {member.spec.name: member.spec for member in members}
    return TrainedNetworks(tuple(specs.values()), states, tuple(log))


def lost_knowledge(like: torch.Tensor) -> torch.Tensor:
    """Return the ways to lose part of what is known ahead (42, AHEAD_COUNT), 1 where it is kept.

    Rain, release or both, up to each lead, without the first and with it: an outlook of this morning says
    nothing of the day that follows yesterday's reading. The three that keep all come last.
    """
    leads = torch.arange(AHEAD_COUNT) % HORIZON_DAYS
    kinds = torch.zeros(3, AHEAD_COUNT)
    kinds[0] = 1
    kinds[1, RAIN_COLUMNS] = 1
    kinds[2, RELEASE_COLUMNS] = 1
    ways = [
        kinds * (leads >= first) * (leads < last) for first in (1, 0) for last in range(1, HORIZON_DAYS + 1)
    ]
    return torch.cat(ways).to(like)


def _ways(count: int, random: torch.Generator) -> torch.Tensor:
    """Draw a way to lose knowledge for each of `count` examples; half keep the last lead, most the first."""
    kind = torch.randint(3, (count,), generator=random)
    last = torch.randint(2 * HORIZON_DAYS, (count,), generator=random).clamp(max=HORIZON_DAYS - 1)
    first = torch.randint(8, (count,), generator=random).clamp(max=1)
    return 3 * (HORIZON_DAYS * first + last) + kind


def _weights(counts: torch.Tensor) -> torch.Tensor:
    """Return what the errors (k, 7, B) count, as shares of the member's sum."""
    return counts / counts.sum(dim=(1, 2), keepdim=True).clamp(min=1e-12)


def _plain(value: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = value.detach().cpu().numpy().astype(np.float32)
    return array


def run(fitting: Fitting, tell: Callable[[float], None]) -> None:
    """Run all epochs under a trainer that writes no files, no bars and no adverts."""
    for name in ("pytorch_lightning", "lightning_fabric", "pytorch_lightning.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    # PyTorch fills fresh memory with NaN while it promises repeatable results; nothing here reads it
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    trainer = pl.Trainer(
        accelerator="gpu" if fitting.learn.inputs.is_cuda else "cpu",
        devices=1,
        max_epochs=fitting.settings.max_epochs,
        callbacks=[_Reporter(tell)],
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        num_sanity_val_steps=0,
        deterministic=True,
        inference_mode=False,
    )
    trainer.fit(fitting, [0], [0])
