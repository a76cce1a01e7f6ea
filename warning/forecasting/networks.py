"""The two systems of networks and their answers: CNN-LSTM [KB24] and the LSTMs of the ensemble [CL18].

Khafaji & Ben Hamed 2024, doi:10.7717/peerj-cs.2416: output = LSTM(CNN(input)), seven lead days at once.
Choi & Lee 2018, doi:10.1155/2018/2470171: LSTMs of one hidden layer with as many cells as days they read.

Every network reads inputs (batch, steps, features) as `features.network_inputs` makes them and answers z
(batch, 7): the change from the last believed value, so that 0 is persistence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from warning.domain.forecast import HORIZON_DAYS
from warning.domain.readings import ReadingSeries
from warning.domain.variables import FloatArray, IndexArray
from warning.errors import ModelError
from warning.forecasting.ahead import ahead_inputs
from warning.forecasting.features import base_values, network_inputs
from warning.forecasting.model import Model, NetworkSpec, SiteScale

ROWS_AT_ONCE = 1024
CORRECTION_CELLS = 16
_Z_DECIMALS = 6  # hides the last bits, which depend on how many rows are computed together


class Head(nn.Module):
    """The linear end of every network: memory and today's inputs in, seven lead days out.

    It starts at 0, which is persistence.
    """

    def __init__(self, cells: int, features: int, dropout: float) -> None:
        super().__init__()
        self.cells = cells
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(cells + features, HORIZON_DAYS)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, memory: torch.Tensor, today: torch.Tensor) -> torch.Tensor:
        """Return z (batch, 7) from memory (batch, cells) and the last day's inputs (batch, features)."""
        answer: torch.Tensor = self.linear(torch.cat([self.dropout(memory), today], dim=1))
        return answer


class Correction(nn.Module):
    """What a network's z moves by where rain or release ahead is known; exactly 0 where nothing is.

    It starts at 0, and learns beside the head and not through it: what a network answers without such
    knowledge is what it would answer had it never been trained with any.
    """

    def __init__(self, features: int, ahead: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(ahead + features, CORRECTION_CELLS)
        self.out = nn.Linear(CORRECTION_CELLS, HORIZON_DAYS, bias=False)
        nn.init.zeros_(self.out.weight)

    def forward(self, today: torch.Tensor, ahead: torch.Tensor) -> torch.Tensor:
        """Return the correction (batch, 7) from today's inputs (batch, features) and `ahead_inputs`."""
        hidden = torch.relu(self.hidden(torch.cat([ahead, today], dim=1)))
        known = (ahead != 0).any(dim=1, keepdim=True)
        answer: torch.Tensor = self.out(hidden) * known
        return answer


class LstmNetwork(nn.Module):
    """One member of the ensemble: one hidden layer over the last `steps` days."""

    def __init__(self, steps: int, cells: int, dropout: float, features: int, ahead: int = 0) -> None:
        super().__init__()
        self.steps = steps
        self.lstm = nn.LSTM(features, cells, batch_first=True)
        _open_forget_gates(self.lstm)
        self.head = Head(cells, features, dropout)
        self.correction = Correction(features, ahead) if ahead else None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        days = inputs[:, -self.steps :]
        memory = self.lstm(days)[0][:, -1]
        answer: torch.Tensor = self.head(memory, days[:, -1])
        return answer


class CnnLstmNetwork(nn.Module):
    """Two convolutions along the days, of which the LSTM reads the features they find."""

    def __init__(
        self,
        steps: int,
        channels: int,
        kernel: int,
        cells: int,
        dropout: float,
        features: int,
        ahead: int = 0,
    ) -> None:
        super().__init__()
        self.steps = steps
        padding = kernel // 2
        self.convolutions = nn.Sequential(
            nn.Conv1d(features, channels, kernel, padding=padding),
            nn.ReLU(),
            nn.Conv1d(channels, channels, kernel, padding=padding),
            nn.ReLU(),
        )
        self.lstm = nn.LSTM(channels, cells, batch_first=True)
        _open_forget_gates(self.lstm)
        self.head = Head(cells, features, dropout)
        self.correction = Correction(features, ahead) if ahead else None

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        days = inputs[:, -self.steps :]
        found = self.convolutions(days.transpose(1, 2)).transpose(1, 2)
        memory = self.lstm(found)[0][:, -1]
        answer: torch.Tensor = self.head(memory, days[:, -1])
        return answer


class Average(nn.Module):
    """Twins from different seeds that answer with their mean; seeds differ by more than designs."""

    def __init__(self, twins: Sequence[nn.Module], steps: int) -> None:
        super().__init__()
        self.steps = steps
        self.twins = nn.ModuleList(twins)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return torch.stack([twin(inputs) for twin in self.twins]).mean(dim=0)

    def corrected(self, inputs: torch.Tensor, ahead: torch.Tensor) -> torch.Tensor:
        """Return z (batch, 7) with what is known ahead (batch, AHEAD_COUNT)."""
        z: torch.Tensor = self(inputs)
        corrections = [getattr(twin, "correction", None) for twin in self.twins]
        moves = [own(inputs[:, -1], ahead) for own in corrections if isinstance(own, Correction)]
        return z + torch.stack(moves).mean(dim=0) if moves else z


def build(spec: NetworkSpec) -> Average:
    """Return the network that `spec` describes, with fresh parameters from torch's random state.

    Raises ModelError for a kind or options that this version does not know.
    """
    options = dict(spec.options)
    try:
        twins = int(options.pop("twins"))
        return Average([_build_one(spec.kind, options) for _ in range(twins)], int(options["steps"]))
    except (KeyError, TypeError) as error:
        raise ModelError(
            f"network {spec.name}: cannot build a {spec.kind!r} from {dict(spec.options)}"
        ) from error


def build_twin(spec: NetworkSpec) -> nn.Module:
    """Return one of the networks that `build` averages."""
    options = {name: value for name, value in spec.options.items() if name != "twins"}
    return _build_one(spec.kind, options)


def _build_one(kind: str, options: Mapping[str, float]) -> nn.Module:
    dropout = options["dropout"]
    sizes = {name: int(value) for name, value in options.items() if name != "dropout"}
    makers: dict[str, Callable[..., nn.Module]] = {"lstm": LstmNetwork, "cnn_lstm": CnnLstmNetwork}
    return makers[kind](**sizes, dropout=dropout)


def load(model: Model, device: str) -> dict[str, Average]:
    """Return the model's networks by name, ready to answer on `device` ("cpu", "cuda"), in float64.

    Raises ModelError where the stored parameters do not fit the architecture.
    """
    torch.set_num_threads(1)  # a second thread gains little and loses much beside another busy process
    networks = {}
    for spec in model.specs:
        network = build(spec)
        try:
            state = {name: torch.from_numpy(np.array(a)) for name, a in model.states[spec.name].items()}
            network.load_state_dict(state)
        except (KeyError, RuntimeError) as error:
            raise ModelError(f"network {spec.name}: its parameters do not fit: {error}") from error
        networks[spec.name] = network.double().eval().to(device)
    return networks


def predict_z(
    networks: Mapping[str, Average],
    series: ReadingSeries,
    scale: SiteScale,
    issue_rows: IndexArray,
    device: str,
) -> dict[str, FloatArray]:
    """Return each network's z (N, 7); NaN on rows without a base value.

    The networks are those of `load`: float64, whose last bits are rounded away, so that a row's
    answer does not depend on the rows it is computed with.
    """
    base = base_values(series, scale.variable, issue_rows)
    answers = {name: np.full((issue_rows.size, HORIZON_DAYS), np.nan) for name in networks}
    steps = max((network.steps for network in networks.values()), default=1)
    for start in range(0, issue_rows.size, ROWS_AT_ONCE):
        part = np.arange(start, min(start + ROWS_AT_ONCE, issue_rows.size))
        part = part[np.isfinite(base[part])]
        if part.size == 0:
            continue
        inputs = torch.from_numpy(network_inputs(series, scale, issue_rows[part], steps)).to(device)
        ahead = torch.from_numpy(ahead_inputs(series, scale, issue_rows[part])).to(device)
        with torch.inference_mode():
            for name, network in networks.items():
                answers[name][part] = _rounded(network, inputs, ahead)
    return answers


def predict_many(
    networks: Mapping[str, Average],
    questions: Sequence[tuple[ReadingSeries, SiteScale, IndexArray]],
    device: str,
) -> list[dict[str, FloatArray]]:
    """Return for each of many dams what `predict_z` does for one, computed together."""
    steps = max((network.steps for network in networks.values()), default=1)
    answers = [np.full((len(networks), rows.size, HORIZON_DAYS), np.nan) for _, _, rows in questions]
    inputs, ahead, owners = [], [], []
    for answer, (series, scale, rows) in zip(answers, questions, strict=True):
        based = np.flatnonzero(np.isfinite(base_values(series, scale.variable, rows)))
        if based.size:
            inputs.append(network_inputs(series, scale, rows[based], steps))
            ahead.append(ahead_inputs(series, scale, rows[based]))
            owners.append((answer, based))
    if inputs:
        together = _answered(networks, np.concatenate(inputs), np.concatenate(ahead), device)
        ends = np.cumsum([based.size for _, based in owners])
        for (answer, based), end in zip(owners, ends, strict=True):
            answer[:, based] = together[:, end - based.size : end]
    return [dict(zip(networks, answer, strict=True)) for answer in answers]


def _answered(
    networks: Mapping[str, Average], inputs: FloatArray, ahead: FloatArray, device: str
) -> FloatArray:
    """z (networks, N, 7)."""
    answers = np.empty((len(networks), len(inputs), HORIZON_DAYS))
    for start in range(0, len(inputs), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        days, known = (torch.from_numpy(array[part]).to(device) for array in (inputs, ahead))
        with torch.inference_mode():
            for i, network in enumerate(networks.values()):
                answers[i, part] = _rounded(network, days, known)
    return answers


def _rounded(network: Average, inputs: torch.Tensor, ahead: torch.Tensor) -> FloatArray:
    z: FloatArray = np.round(network.corrected(inputs, ahead).cpu().numpy(), _Z_DECIMALS)
    return z


def _open_forget_gates(lstm: nn.LSTM) -> None:
    """Start with a memory that lasts: bias 1 at the forget gates, the second quarter of torch's biases."""
    cells = lstm.hidden_size
    with torch.no_grad():
        lstm.get_parameter("bias_ih_l0")[cells : 2 * cells].fill_(1.0)
