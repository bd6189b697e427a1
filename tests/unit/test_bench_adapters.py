"""`croupier bench adapters` measures whatever the conformance kit speaks, and judges ratios within a turn only.

Nothing here asserts a speed: that is what the bench is for.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from croupier.bench import adapters as bench
from croupier.bench.adapters import NATIVE, AdaptersPlan, NotSpoken, answer, bench_adapters, prepare
from croupier.bench.report import Document, Samples, render_markdown
from croupier.cli.bench import tell_document
from croupier.cli.output import Output
from croupier.cli.settings import Settings
from croupier.conformance.speakers import find_speakers
from croupier.moneypath.commands import Bet, Win
from croupier.providers.contract import Decoded
from croupier.providers.manifest import KeyKind
from croupier.providers.registry import find_adapters

PLAN = AdaptersPlan(seconds=0.02, rounds=1, pairs=2, slice_calls=2)
SPOKEN = sorted(find_adapters().keys() & find_speakers().keys())
RSA = {name for name in SPOKEN if find_adapters()[name].manifest.inbound_key is KeyKind.RSA_PUBLIC}


def stay_silent(_: str) -> None:
    """Take a line of progress."""


@pytest.fixture(scope="module")
def document() -> Document:
    return bench_adapters(PLAN, stay_silent)


def test_every_adapter_that_is_spoken_is_measured(document: Document) -> None:
    assert sorted(run.design for run in document.runs) == SPOKEN
    assert all(run.errors == 0 and run.per_second > 0 and run.cpu_us_per_call for run in document.runs)
    assert set(document.ratio) == set(SPOKEN) - {NATIVE}


def test_asymmetric_signatures_are_told_and_not_judged(document: Document) -> None:
    assert set(document.floor) == set(SPOKEN) - RSA - {NATIVE}
    assert len(document.checks) == len(document.floor)
    for name in RSA:
        assert any(note.startswith(f"{name}: ") for note in document.notes)


def test_the_document_has_the_form_of_every_bench(
    document: Document, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings()
    settings.is_json = True
    tell_document(Output(settings), document)
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert printed["schema"] == {"name": "croupier.bench", "version": 1}
    assert printed["machine"]["cores"] >= 1
    assert render_markdown(msgspec.convert(printed, Document)) == render_markdown(document)


@pytest.mark.parametrize("name", SPOKEN)
def test_a_measured_call_is_a_whole_bet_or_win_of_the_player(name: str) -> None:
    stand = prepare(find_adapters()[name], find_speakers()[name], PLAN)
    kinds = []
    for request in stand.requests:
        decoded, _ = bench.read_request(stand, request.raw, request.path)
        assert isinstance(decoded, Decoded)
        assert decoded.player_id == bench.PLAYER
        money = decoded.actions[0]
        assert isinstance(money, Bet | Win)
        assert money.amount == bench.STAKE
        kinds.append(type(money))
        assert answer(stand, request) == 200
    assert kinds == [Bet, Win] * PLAN.pairs


def test_a_ratio_is_one_within_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = iter(range(1, 1000))

    def measure(*_: object) -> tuple[Samples, Samples]:
        """Turns that get slower and slower, the other side always three times as quick."""
        cpu_s = float(next(taken))
        ours = Samples(calls=3, errors=0, seconds=1.0, latencies_us=[1], cpu_s=3 * cpu_s)
        return ours, Samples(calls=3, errors=0, seconds=1.0, latencies_us=[1], cpu_s=cpu_s)

    monkeypatch.setattr(bench, "measure", measure)
    measured = bench_adapters(AdaptersPlan(rounds=4, pairs=1), stay_silent)
    assert set(measured.ratio.values()) == {3.0}
    assert measured.verdict == "below"


def test_a_speaker_that_its_adapter_does_not_understand_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    speaker = find_speakers()[NATIVE]
    monkeypatch.setattr(speaker, "sign", lambda self, request, stamp, key=None: self.unsign(request))
    with pytest.raises(NotSpoken, match=r"croupier_v1: bet: unauthenticated"):
        prepare(find_adapters()[NATIVE], speaker, PLAN)
