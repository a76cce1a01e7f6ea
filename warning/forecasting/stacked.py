"""Networks of one kind as one: their parameters stacked, their steps computed together.

A stack of LSTMs trains as if each trained alone: members share no parameter, cells that a smaller
member lacks stay 0 with gradient 0, and a member that reads fewer days joins at its first one. Arrays
have the axes (member, time, feature, row): the rows of a batch come last, where they are contiguous, so
that every gate is one block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn

from warning.domain.forecast import HORIZON_DAYS
from warning.forecasting.networks import CnnLstmNetwork, Correction, Head, LstmNetwork
from warning.forecasting.recurrence import BIASES, Tape, back, convolve, forth, recur

Gradients = Mapping[nn.Parameter, torch.Tensor]
Back = Callable[[torch.Tensor], Gradients]
Judge = Callable[[torch.Tensor], torch.Tensor]
_TORCH_GATES = (2, 1, 0, 3)  # where candidate, forget, input and output lie in torch's parameters


class StackedLstm(nn.Module):
    """k LSTMs of one hidden layer that read `steps` days each, in falling order, all up to the same last day.

    `weight` is (k, 4·N, 2 + features + N), N the most cells: rows are the candidate, forget, input and
    output gates, columns the two biases, the inputs and the memory.
    """

    def __init__(self, lstms: Sequence[nn.LSTM], steps: Sequence[int]) -> None:
        super().__init__()
        if list(steps) != sorted(steps, reverse=True):
            raise ValueError(f"members must stand in falling order of their steps, found {list(steps)}")
        self.steps = tuple(steps)
        self.features = lstms[0].input_size
        self.cells = [lstm.hidden_size for lstm in lstms]
        self.width = max(self.cells)
        self.weight = nn.Parameter(torch.stack([self._padded(lstm) for lstm in lstms]))
        self._tapes: dict[tuple[int, bool], Tape] = {}  # by rows, and whether there is a way back

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the memory after the last day (k, N, rows) from inputs (k or 1, days, features, rows).

        The next call for as many rows writes over what `backward` needs of this one.
        """
        learns = self.weight.requires_grad or inputs.requires_grad
        inputs = inputs[:, -self.steps[0] :]
        return recur(inputs, self.weight, self._tape(inputs, kept=torch.is_grad_enabled() and learns))

    def learn(self, inputs: torch.Tensor) -> tuple[torch.Tensor, Back]:
        """Return what a call does, and the way back from there, without autograd."""
        tape = self._tape(inputs, kept=True)
        memory = forth(tape, inputs[:, -self.steps[0] :], self.weight)
        return memory, lambda d_memory: {self.weight: back(tape, self.weight, d_memory, to_inputs=False)[1]}

    def _tape(self, inputs: torch.Tensor, *, kept: bool) -> Tape:
        rows = inputs.shape[3]
        tape = self._tapes.get((rows, kept))
        if tape is None or not tape.suits(self.weight):
            tape = Tape(self.weight, self.steps, self.features, rows, kept=kept)
            self._tapes[rows, kept] = tape
        return tape

    def keep(self, members: Sequence[int]) -> None:
        """Forget all members but these; whoever holds the parameters sees to those."""
        self.steps = tuple(self.steps[i] for i in members)
        self.cells = [self.cells[i] for i in members]
        self._tapes = {}

    def state(self, member: int) -> dict[str, torch.Tensor]:
        """Return one member's part under the names and shapes of torch's LSTM."""
        cells = self.cells[member]
        gates = self.weight.detach()[member].reshape(4, self.width, -1)
        gates = gates[list(_TORCH_GATES), :cells].flatten(0, 1)
        first = BIASES + self.features
        return {
            "weight_ih_l0": gates[:, BIASES:first],
            "weight_hh_l0": gates[:, first : first + cells],
            "bias_ih_l0": gates[:, 0],
            "bias_hh_l0": gates[:, 1],
        }

    def _padded(self, lstm: nn.LSTM) -> torch.Tensor:
        cells, first = lstm.hidden_size, BIASES + self.features
        state = {n: p.detach().view(4, cells, *p.shape[1:]) for n, p in lstm.named_parameters()}
        gates = state["weight_ih_l0"].new_zeros(4, self.width, first + self.width)
        gates[:, :cells, 0] = state["bias_ih_l0"]
        gates[:, :cells, 1] = state["bias_hh_l0"]
        gates[:, :cells, BIASES:first] = state["weight_ih_l0"]
        gates[:, :cells, first : first + cells] = state["weight_hh_l0"]
        return gates[list(_TORCH_GATES)].flatten(0, 1)


class StackedHead(nn.Module):
    """The heads of k networks: memory (k, N, rows) and today's inputs in, z (k, 7, rows) out."""

    def __init__(self, heads: Sequence[Head], width: int) -> None:
        super().__init__()
        features = heads[0].linear.in_features - heads[0].cells
        weight = heads[0].linear.weight.detach().new_zeros(len(heads), HORIZON_DAYS, width + features)
        for own, head in zip(weight, heads, strict=True):
            own[:, : head.cells] = head.linear.weight.detach()[:, : head.cells]
            own[:, width:] = head.linear.weight.detach()[:, head.cells :]
        self.width = width
        self.dropout = nn.Dropout(heads[0].dropout.p)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.stack([head.linear.bias.detach() for head in heads])[:, :, None])

    def forward(self, memory: torch.Tensor, today: torch.Tensor) -> torch.Tensor:
        return torch.baddbmm(self.bias, self.weight, torch.cat([memory, today], dim=1))

    def back(
        self, memory: torch.Tensor, today: torch.Tensor, d_z: torch.Tensor
    ) -> tuple[torch.Tensor, Gradients]:
        """Return the gradient of the memory, and those of the parameters."""
        d_weight = torch.bmm(d_z, torch.cat([memory, today], dim=1).transpose(1, 2))
        gradients = {self.weight: d_weight, self.bias: d_z.sum(dim=2, keepdim=True)}
        return torch.bmm(self.weight[:, :, : self.width].transpose(1, 2), d_z), gradients

    def state(self, member: int, cells: int) -> dict[str, torch.Tensor]:
        """Return one member's part under the names and shapes of `networks.Head`."""
        weight = self.weight.detach()[member]
        return {
            "linear.weight": torch.cat([weight[:, :cells], weight[:, self.width :]], dim=1),
            "linear.bias": self.bias.detach()[member, :, 0],
        }


class StackedCorrection(nn.Module):
    """The corrections of k networks."""

    def __init__(self, corrections: Sequence[Correction]) -> None:
        super().__init__()
        self.weight, self.bias, self.out = (
            nn.Parameter(torch.stack([value.detach() for value in values]))
            for values in (
                [own.hidden.weight for own in corrections],
                [own.hidden.bias[:, None] for own in corrections],
                [own.out.weight for own in corrections],
            )
        )

    def forward(self, today: torch.Tensor, ahead: torch.Tensor) -> torch.Tensor:
        """Return the corrections (k, 7, rows) from today's inputs and what is known ahead (k, …, rows)."""
        hidden = torch.relu(torch.baddbmm(self.bias, self.weight, torch.cat([ahead, today], dim=1)))
        return torch.bmm(self.out, hidden) * (ahead != 0).any(dim=1, keepdim=True)

    def back(self, today: torch.Tensor, ahead: torch.Tensor, judge: Judge) -> Gradients:
        """Return the gradients of the parameters; `judge` answers corrections with their gradient.

        The corrections that it is asked about are not yet 0 where nothing is known ahead; its answer is.
        """
        seen = torch.cat([ahead, today], dim=1)
        hidden = torch.baddbmm(self.bias, self.weight, seen).relu_()
        d_out = judge(torch.bmm(self.out, hidden))
        d_hidden = torch.bmm(self.out.transpose(1, 2), d_out).mul_(hidden.sign())  # hidden is 0 or above
        return {
            self.weight: torch.bmm(d_hidden, seen.transpose(1, 2)),
            self.bias: d_hidden.sum(dim=2, keepdim=True),
            self.out: torch.bmm(d_out, hidden.transpose(1, 2)),
        }

    def state(self, member: int) -> dict[str, torch.Tensor]:
        """Return one member's part under the names and shapes of `networks.Correction`."""
        weight, bias, out = (value.detach()[member] for value in (self.weight, self.bias, self.out))
        return {"hidden.weight": weight, "hidden.bias": bias[:, 0], "out.weight": out}


class StackedLstmNetworks(nn.Module):
    """Members of the ensemble as one network."""

    def __init__(self, networks: Sequence[LstmNetwork]) -> None:
        super().__init__()
        self.lstm = StackedLstm([n.lstm for n in networks], [n.steps for n in networks])
        self.head = StackedHead([n.head for n in networks], self.lstm.width)
        self.correction = _stacked_correction(networks)

    @property
    def steps(self) -> tuple[int, ...]:
        return self.lstm.steps

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return z (k, 7, rows) from inputs (k or 1, days, features, rows)."""
        today = inputs[:, -1].expand(len(self.steps), -1, -1)
        answer: torch.Tensor = self.head(self.memory(inputs), today)
        return answer

    def memory(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the head reads of the days up to today (k, N, rows)."""
        memory: torch.Tensor = self.head.dropout(self.lstm(inputs))
        return memory

    def learn(self, inputs: torch.Tensor) -> tuple[torch.Tensor, Back]:
        """Return `memory`, and the way back from its gradient to those of the parameters."""
        memory, to_parameters = self.lstm.learn(inputs)
        if self.head.dropout.p == 0:
            return memory, to_parameters
        share = self.head.dropout(torch.ones_like(memory))
        return memory * share, lambda d_memory: to_parameters(d_memory * share)

    def keep(self, members: Sequence[int]) -> None:
        self.lstm.keep(members)

    def member_state(self, member: int) -> dict[str, torch.Tensor]:
        """Return one member's parameters as those of its `LstmNetwork`."""
        return _joined(
            lstm=self.lstm.state(member),
            head=self.head.state(member, self.lstm.cells[member]),
            correction=self.correction.state(member) if self.correction else {},
        )


class StackedCnnLstms(nn.Module):
    """Twins of the CNN-LSTM as one network; a convolution is one product per tap, over all days and rows."""

    def __init__(self, networks: Sequence[CnnLstmNetwork]) -> None:
        super().__init__()
        pairs = list(zip(*(_convolutions(network) for network in networks), strict=True))
        self.padding = int(pairs[0][0].padding[0])
        kernel = pairs[0][0].kernel_size[0]
        self.days = networks[0].steps
        self.weights = nn.ParameterList(
            torch.stack([c.weight.detach().permute(2, 0, 1) for c in layer]) for layer in pairs
        )
        self.biases = nn.ParameterList(
            torch.stack([c.bias.detach()[:, None] for c in layer if c.bias is not None]) for layer in pairs
        )
        found = self.days + len(pairs) * (2 * self.padding + 1 - kernel)
        self.lstm = StackedLstm([n.lstm for n in networks], [found] * len(networks))
        self.head = StackedHead([n.head for n in networks], self.lstm.width)
        self.correction = _stacked_correction(networks)

    @property
    def steps(self) -> tuple[int, ...]:
        return (self.days,) * len(self.lstm.steps)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return z (k, 7, rows) from inputs (k or 1, days, features, rows)."""
        today = inputs[:, -1].expand(len(self.steps), -1, -1)
        answer: torch.Tensor = self.head(self.memory(inputs), today)
        return answer

    def memory(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the head reads of the days up to today (k, N, rows)."""
        found = inputs[:, -self.days :].transpose(1, 2).expand(len(self.steps), -1, -1, -1)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            found = convolve(found, weight, bias, self.padding)
        memory: torch.Tensor = self.head.dropout(self.lstm(found.transpose(1, 2)))
        return memory

    def learn(self, inputs: torch.Tensor) -> tuple[torch.Tensor, Back]:
        """Return `memory`, and the way back from its gradient to those of the parameters."""
        parameters = [*self.weights, *self.biases, *self.lstm.parameters()]
        with torch.enable_grad():
            memory = self.memory(inputs)
        return memory.detach(), lambda d_memory: dict(
            zip(parameters, torch.autograd.grad(memory, parameters, d_memory), strict=True)
        )

    def keep(self, members: Sequence[int]) -> None:
        self.lstm.keep(members)

    def member_state(self, member: int) -> dict[str, torch.Tensor]:
        """Return one member's parameters as those of its `CnnLstmNetwork`."""
        convolutions: dict[str, torch.Tensor] = {}
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            own = weight.detach()[member].permute(1, 2, 0)
            convolutions |= {f"{2 * i}.weight": own, f"{2 * i}.bias": bias.detach()[member, :, 0]}
        return _joined(
            convolutions=convolutions,
            lstm=self.lstm.state(member),
            head=self.head.state(member, self.lstm.cells[member]),
            correction=self.correction.state(member) if self.correction else {},
        )


Stack = StackedLstmNetworks | StackedCnnLstms


def stacked(networks: Sequence[nn.Module]) -> Stack:
    """Return networks of one kind as one; LSTMs must stand in falling order of their steps."""
    lstms = [network for network in networks if isinstance(network, LstmNetwork)]
    cnns = [network for network in networks if isinstance(network, CnnLstmNetwork)]
    if lstms and not cnns:
        return StackedLstmNetworks(lstms)
    if cnns and not lstms:
        return StackedCnnLstms(cnns)
    kinds = [type(network).__name__ for network in networks]
    raise TypeError(f"networks of one known kind can be stacked, found {kinds}")


class Sheet:
    """A stack's parameters as one matrix, a row per member, of which they are views from then on.

    What is done to all parameters is then one operation. Those of the correction stand last, from column
    `corrections` on.
    """

    def __init__(self, stack: Stack) -> None:
        corrections = list(stack.correction.parameters()) if stack.correction else []
        last = set(corrections)
        self._parameters = [*(p for p in stack.parameters() if p not in last), *corrections]
        self.values = nn.Parameter(torch.cat([p.detach().flatten(1) for p in self._parameters], dim=1))
        self.corrections = self.values.shape[1] - sum(parameter[0].numel() for parameter in corrections)
        self._share()

    def keep(self, members: Sequence[int]) -> None:
        """Forget all members but these."""
        self.values.grad = None
        self.values.data = self.values.data[list(members)]
        self._share()

    def hand_in(self, gradients: Gradients) -> torch.Tensor:
        """Return, and leave at `values`, the gradients as one; it is 0 where there is none."""
        parts = [gradients[p] if p in gradients else torch.zeros_like(p) for p in self._parameters]
        gradient = torch.cat([part.flatten(1) for part in parts], dim=1)
        self.values.grad = gradient
        return gradient

    def _share(self) -> None:
        first = 0
        for parameter in self._parameters:
            columns = slice(first, first + parameter[0].numel())
            parameter.data = self.values.data[:, columns].view(-1, *parameter.shape[1:])
            first = columns.stop


def _stacked_correction(networks: Sequence[LstmNetwork | CnnLstmNetwork]) -> StackedCorrection | None:
    corrections = [network.correction for network in networks if network.correction is not None]
    return StackedCorrection(corrections) if len(corrections) == len(networks) else None


def _convolutions(network: CnnLstmNetwork) -> list[nn.Conv1d]:
    return [layer for layer in network.convolutions if isinstance(layer, nn.Conv1d)]


def _joined(**parts: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}
