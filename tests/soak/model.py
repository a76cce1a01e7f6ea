"""Trains a tiny model on the soak's dams, once, in a process of its own: `python model.py CONFIG DAY`."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time
from pathlib import Path

from warning.config.loading import load_configuration
from warning.forecasting.trainer import train_model
from warning.forecasting.training_plan import TrainingSettings
from warning.learning import training_histories
from warning.wiring import make_state_directory, registry_of, source_of

TINY = TrainingSettings(
    max_epochs=1, lengths=(3, 5), cnn_steps=6, cnn_channels=4, cnn_cells=4, cnn_twins=1, device="cpu"
)


def main() -> None:
    configuration, day = load_configuration(Path(sys.argv[1])), date.fromisoformat(sys.argv[2])
    make_state_directory(configuration)
    histories, _ = training_histories(configuration.reservoirs, source_of(configuration), day)
    now = datetime.combine(day, time(12), tzinfo=UTC)
    train_model(histories, TINY, registry_of(configuration), now, time_limit_s=300)


if __name__ == "__main__":
    main()
