"""The demo's configuration is one that the program accepts, and its channels end in the demo's mailbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from warning.alerts.apprise_sender import send
from warning.config.configuration import Configuration
from warning.config.loading import load_configuration
from warning.demo.configuration import write_configuration
from warning.demo.dams import DAMS
from warning.demo.mailbox import Mailbox
from warning.demo.simulation import simulate_fleet
from warning.domain.delivery import Message, MessageForm
from warning.domain.variables import Variable

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(64))


def written(folder: Path, port: int) -> Configuration:
    write_configuration(
        folder / "config",
        readings=folder / "readings",
        state_directory=folder / "state",
        mail_port=port,
        max_epochs=7,
    )
    return load_configuration(folder / "config", {})


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return written(tmp_path / 'a "quoted" \\ földer', 2525)


def test_the_configuration_is_accepted_and_says_what_it_was_told(
    configuration: Configuration, tmp_path: Path
) -> None:
    folder = tmp_path / 'a "quoted" \\ földer'
    assert configuration.source.folder == folder / "readings"
    assert configuration.state_directory == folder / "state"
    assert configuration.forecast.max_epochs == 7


def test_every_simulated_dam_is_watched_at_its_own_thresholds(configuration: Configuration) -> None:
    watched = {dam.id: [t.value for t in dam.level_thresholds] for dam in configuration.reservoirs}
    assert watched == {dam.id: list(dam.threshold_levels_m.values()) for dam in DAMS}
    assert all(t.forecast is not None for dam in configuration.reservoirs for t in dam.level_thresholds)


def test_every_severity_of_every_dam_has_an_instruction(configuration: Configuration) -> None:
    names = {severity.name for severity in configuration.severities}
    assert all(set(dam.instructions) == names for dam in configuration.reservoirs)


def test_the_physical_limits_hold_everything_that_is_simulated(configuration: Configuration) -> None:
    fleet = simulate_fleet(3)
    for dam in configuration.reservoirs:
        for variable in Variable:
            values = fleet[dam.id].values[variable]
            assert values.min() in dam.limits[variable]
            assert values.max() in dam.limits[variable]


def test_the_gateways_url_is_for_the_owner_alone(configuration: Configuration) -> None:
    assert (configuration.directory / "sms.url").stat().st_mode & 0o077 == 0


def test_mail_and_sms_both_end_in_the_mailbox(tmp_path: Path) -> None:
    message = Message("Kalavati", "in text", '<p>in HTML <img src="cid:plot.png"></p>', "in short")
    with Mailbox(tmp_path / "mail") as box:
        recipients = {r.id: r for r in written(tmp_path, box.port).recipients}
        for channel in recipients["dam_engineer"].channels:
            picture = PNG if channel.form is MessageForm.EMAIL else None
            assert send(channel.url, channel.form, message, picture, 10.0).ok
        email, sms = box.messages()
    assert email.recipients == ("dam.engineer@demo.example",)
    assert email.html is not None
    assert 'src="001-dam-engineer.png"' in email.html.read_text(encoding="utf-8")
    assert sms.recipients == ("sms+919800000001@gateway.demo.example",)
    assert sms.text is not None
    assert sms.text.read_text(encoding="utf-8").strip() == "in short"
