"""The sandbox as a provider of other vendors' protocols: launches in their form, whole rounds, gateways found out."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import msgspec
import pytest
from foreign_gateway import (
    LAUNCH_PRIVATE,
    LAUNCH_SECRET,
    PROTOCOLS,
    SECRET,
    ForeignGateway,
    account_of,
    foreign_gateway,
)

from croupier.cli.sandbox_accounts import BadAccounts, read_accounts
from croupier.sandbox import rounds
from croupier.sandbox.protocols import WIRES
from croupier.sandbox.service import SandboxService, Settings
from croupier.sandbox.wire import RetryPolicy
from croupier_signing import (
    SigningKey,
    canonicalise,
    sign_canonical_body,
    sign_canonical_query,
    sign_raw_hmac,
    sign_rsa_body,
    sign_sorted_form,
)
from croupier_signing.pairs import make_rsa_pair

QUICK = RetryPolicy(attempt_s=2.0, total_s=10.0, first_wait_s=0.002, longest_wait_s=0.02)
IMPATIENT = RetryPolicy(attempt_s=1.0, total_s=0.3, first_wait_s=0.002, longest_wait_s=0.02)
URLS = {
    "softswiss_v2": "launch_url",
    "hub88_v1": "url",
    "slotegrator_gis_v1": "url",
    "swipegames_v1": "gameURL",
    "evolution_v1": "entry",
}


def launch_of(protocol: str, session: str, player: str, game: str) -> tuple[str, bytes, dict[str, str]]:
    """Path, body and headers of a launch as an operator sends it."""
    match protocol:
        case "softswiss_v2":
            document: dict[str, Any] = {
                "casino_id": "c", "game": game, "session_id": session,
                "account": {"id": player, "currency": "EUR"},
            }  # fmt: skip
            body = json.dumps(document).encode()
            signed = {"X-REQUEST-SIGN": sign_raw_hmac(LAUNCH_SECRET, body)}
            return "/api/v1/softswiss/launcher/real", body, signed
        case "hub88_v1":
            document = {
                "user": player,
                "token": session,
                "operator_id": 1,
                "game_code": game,
                "currency": "EUR",
            }
            body = json.dumps(document).encode()
            return (
                "/operator/generic/v2/game/url",
                body,
                {"X-Hub88-Signature": sign_rsa_body(LAUNCH_PRIVATE, body)},
            )
        case "swipegames_v1":
            body = canonicalise(
                {"cID": "c", "extCID": "e", "gameID": game, "demo": False, "platform": "desktop",
                 "currency": "EUR", "locale": "en_us", "sessionID": session, "user": {"id": player}}
            )  # fmt: skip
            return "/create-new-game", body, {"X-REQUEST-SIGN": sign_canonical_body(LAUNCH_SECRET, body)}
        case "slotegrator_gis_v1":
            fields = {"game_uuid": game, "player_id": player, "player_name": "P", "currency": "EUR",
                      "session_id": session}  # fmt: skip
            headers = {
                "X-Merchant-Id": "m-7",
                "X-Timestamp": str(int(time.time())),
                "X-Nonce": session.ljust(32, "0"),
            }
            headers["X-Sign"] = sign_sorted_form(LAUNCH_SECRET, tuple(fields.items()), headers)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            return "/games/init", urlencode(fields).encode(), headers
        case _:
            document = {
                "uuid": "u",
                "player": {"id": player, "currency": "EUR", "session": {"id": session}},
                "config": {"game": {"table": {"id": game}}},
            }
            return f"/ua/v1/croupier/{LAUNCH_SECRET.secret.decode()}", json.dumps(document).encode(), {}


class Studio:
    """The sandbox as its callers see it."""

    def __init__(self, address: str, gateway: ForeignGateway, http: aiohttp.ClientSession) -> None:
        self.address = address
        self._gateway = gateway
        self._http = http

    async def send(
        self, protocol: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, Any]:
        """A launch: status and answer."""
        url = f"{self.address}/{protocol}{path}"
        async with self._http.post(url, data=body, headers=headers) as reply:
            return reply.status, await reply.json()

    async def play(
        self, protocol: str, player: str = "p-1", game: str = "dice", **order: Any
    ) -> dict[str, Any]:
        """Launch a session and play a batch; the report."""
        session = f"{protocol}-{player}-{game}"
        self._gateway.sessions[session] = {"player": player}
        status, launched = await self.send(protocol, *launch_of(protocol, session, player, f"x-{game}"))
        assert status == 200, launched
        url = launched[URLS[protocol]]
        page = url if url.startswith("http") else f"{self.address}/{protocol}{url}"
        async with self._http.post(page, json={"stake": "100", "seed": 3, **order}) as reply:
            report: dict[str, Any] = await reply.json()
            assert reply.status == 200, report
        return report

    async def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        """Any request: status and JSON of the answer."""
        async with self._http.request(method, self.address + path, data=body, headers=headers) as reply:
            return reply.status, await reply.json()

    async def status(self, protocol: str) -> Any:
        """The account's status."""
        async with self._http.get(f"{self.address}/status", params={"account": protocol}) as reply:
            return await reply.json()

    async def retry(self) -> Any:
        """Ask again for all undecided calls."""
        async with self._http.post(f"{self.address}/control/retry") as reply:
            return await reply.json()


@asynccontextmanager
async def studio_of(gateway: ForeignGateway, policy: RetryPolicy = QUICK) -> AsyncIterator[Studio]:
    accounts = tuple(account_of(protocol, gateway.address) for protocol in PROTOCOLS)
    settings = Settings(accounts=accounts, port=0, seed="crash", policy=policy)
    async with SandboxService(settings) as service, aiohttp.ClientSession() as http:
        yield Studio(service.address, gateway, http)


@pytest.fixture
async def gateway() -> AsyncIterator[ForeignGateway]:
    async with foreign_gateway() as gateway:
        yield gateway


@pytest.fixture
async def studio(gateway: ForeignGateway) -> AsyncIterator[Studio]:
    async with studio_of(gateway) as studio:
        yield studio


def net(money: dict[str, str]) -> Decimal:
    taken = int(money["staked"]) - int(money["rolled_back_bets"])
    return Decimal(int(money["won"]) - int(money["rolled_back_wins"]) - taken) / 100


def hostile(protocol: str) -> dict[str, int]:
    """Everything that the protocol has, often."""
    wire = WIRES[protocol]
    flows = [flow.value for flow in wire.choreography if flow.value != "normal"]
    return {
        **dict.fromkeys(flows, 15),
        **{attack.value: 20 for attack in wire.attacks},
        "duplicate": 15,
        "delay": 3,
        "drop_reply": 8,
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("game", ["dice", "crash"])
async def test_a_well_behaved_batch_moves_exactly_what_was_played(
    gateway: ForeignGateway, studio: Studio, protocol: str, game: str
) -> None:
    report = await studio.play(protocol, game=game, rounds=15, misbehaviour="none")
    assert (report["provider"], report["protocol"]) == (protocol, protocol)
    assert (report["wrong"], report["retries"], report["refused"]) == ([], {}, {})
    assert report["approved"]["bet"] == 15
    assert int(report["money"]["won"]) > 0
    assert gateway.ledger.wallets["p-1"] == gateway.ledger.opening + net(report["money"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_every_attack_is_refused_and_every_fault_absorbed(
    gateway: ForeignGateway, studio: Studio, protocol: str
) -> None:
    report = await studio.play(protocol, rounds=60, misbehaviour=hostile(protocol))
    attacks = report["attacks"]
    assert (report["wrong"], report["unexpected"], report["repeat_violations"]) == ([], 0, 0)
    assert attacks["planted"] == attacks["refused"]
    assert set(attacks["planted"]) == {attack.value for attack in WIRES[protocol].attacks}
    assert set(report["flows"]) == {flow.value for flow in WIRES[protocol].choreography}
    assert report["stopped_by"] is None
    assert report["unresolved"] == 0
    assert report["duplicates"]["absorbed"] > 0
    assert gateway.ledger.wallets["p-1"] == gateway.ledger.opening + net(report["money"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_gateway_that_pays_twice_is_found_out_by_the_balance(
    gateway: ForeignGateway, studio: Studio, protocol: str
) -> None:
    gateway.ledger.pays_twice = True
    report = await studio.play(protocol, rounds=10, misbehaviour="none")
    assert report["unexpected"] > 0
    assert "the balance should be" in report["wrong"][0]


@pytest.mark.parametrize("protocol", ["softswiss_v2", "slotegrator_gis_v1", "swipegames_v1"])
async def test_a_gateway_whose_transaction_ids_change_is_found_out(
    gateway: ForeignGateway, studio: Studio, protocol: str
) -> None:
    gateway.ledger.forgets_ids = True
    report = await studio.play(protocol, rounds=6, misbehaviour={"duplicate": 100})
    assert report["repeat_violations"] > 0
    assert "copies of one call differ" in report["wrong"][0]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_player_without_money_is_declined_and_nothing_is_left_behind(
    gateway: ForeignGateway, studio: Studio, protocol: str
) -> None:
    gateway.ledger.opening = Decimal("0.5")
    report = await studio.play(protocol, rounds=4, misbehaviour={"duplicate": 50})
    assert report["declined"] == {"insufficient_funds": 4}
    assert (report["wrong"], gateway.ledger.wallets["p-1"]) == ([], Decimal("0.5"))


@pytest.mark.parametrize(
    ("protocol", "bet", "rollback", "attempts"),
    [
        ("softswiss_v2", "/betwin", "/rollback", 4),
        ("hub88_v1", "/transaction/bet", "/transaction/rollback", 1),
        ("swipegames_v1", "/bet", "/refund", 1),
    ],
)
async def test_a_bet_without_answer_is_rolled_back_after_as_many_attempts_as_the_protocol_makes(
    gateway: ForeignGateway, studio: Studio, protocol: str, bet: str, rollback: str, attempts: int
) -> None:
    gateway.lost_paths.add(bet)
    report = await studio.play(protocol, rounds=1, misbehaviour="none")
    assert (gateway.seen[bet], gateway.seen[rollback]) == (attempts, 1)
    assert (report["stopped_by"], report["unresolved"], report["wrong"]) == (None, 0, [])
    assert gateway.ledger.wallets["p-1"] == gateway.ledger.opening


async def test_a_win_that_overtook_a_bet_which_was_lost_gives_up_early(
    gateway: ForeignGateway, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "OVERTAKING_S", 0.2)
    gateway.down_paths.add("/transaction/bet")
    async with asyncio.timeout(QUICK.total_s / 2):
        report = await studio.play("hub88_v1", rounds=1, misbehaviour={"win_before_bet": 100})
    assert (gateway.seen["/transaction/bet"], gateway.seen["/transaction/win"] > 1) == (1, True)
    assert (report["unresolved"], report["wrong"]) == (0, [])
    assert gateway.ledger.wallets["p-1"] == gateway.ledger.opening


@pytest.mark.parametrize(
    ("protocol", "win"),
    [("hub88_v1", "/transaction/win"), ("swipegames_v1", "/win"), ("evolution_v1", "/credit")],
)
async def test_a_win_that_stays_undecided_is_kept_and_can_be_asked_again(
    gateway: ForeignGateway, protocol: str, win: str
) -> None:
    gateway.down_paths.add(win)
    async with studio_of(gateway, IMPATIENT) as studio:
        report = await studio.play(protocol, rounds=2, misbehaviour="none")
        assert report["unresolved"] > 0
        gateway.down_paths.clear()
        retried = await studio.retry()
        money = (await studio.status(protocol))["money"]["EUR"]
    assert (retried["tried"], retried["left"]) == (report["unresolved"], 0)
    assert gateway.ledger.wallets["p-1"] == gateway.ledger.opening + net(money)


async def test_the_attempts_of_gis_count_themselves_in_the_body(gateway: ForeignGateway) -> None:
    gateway.down_paths.add("/")
    async with studio_of(gateway, IMPATIENT) as studio:
        await studio.play("slotegrator_gis_v1", rounds=1, misbehaviour="none")
    bets = [body for _, body in gateway.bodies if body.startswith(b"action=bet")]
    counters = [int(body.rpartition(b"=")[2]) for body in bets]
    assert counters == list(range(len(bets)))
    assert len({body.rpartition(b"&")[0] for body in bets}) == 1
    assert len(bets) > 2


async def test_the_session_id_of_the_check_is_used_from_then_on(
    gateway: ForeignGateway, studio: Studio
) -> None:
    for batch in (1, 2):
        report = await studio.play("evolution_v1", rounds=batch, misbehaviour="none")
        assert report["wrong"] == []
    sids = {json.loads(body)["sid"] for tail, body in gateway.bodies if tail != "/check"}
    assert sids == {"evolution_v1-p-1-dice-new"}
    assert gateway.seen["/check"] == 1


async def test_accounts_of_all_protocols_play_side_by_side_at_one_crash_table(
    gateway: ForeignGateway, studio: Studio
) -> None:
    orders = {protocol: f"p-{protocol}" for protocol in PROTOCOLS}
    reports = await asyncio.gather(
        *(studio.play(protocol, player, "crash", rounds=3) for protocol, player in orders.items())
    )
    assert [report["wrong"] for report in reports] == [[]] * len(PROTOCOLS)
    status = await studio.status("hub88_v1")
    assert (status["protocol"], status["acknowledged"] > 0) == ("hub88_v1", True)
    assert status["accounts"] == {protocol: protocol for protocol in PROTOCOLS}
    assert status["crash"]["most_players"] > 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_launch_whose_proof_is_wrong_is_refused_in_the_words_of_its_protocol(
    studio: Studio, protocol: str
) -> None:
    path, body, headers = launch_of(protocol, "s-1", "p-1", "dice")
    names = ("X-REQUEST-SIGN", "X-Hub88-Signature", "X-Sign")
    unsigned = {name: value for name, value in headers.items() if name not in names}
    if protocol == "evolution_v1":
        path = path[:-1] + "?"
    status, refusal = await studio.send(protocol, path, body, unsigned)
    assert status == (403 if protocol == "softswiss_v2" else 401)
    told = {
        "softswiss_v2": ("meta", "api_code", "403"),
        "hub88_v1": ("error", "unauthenticated: missing"),
        "slotegrator_gis_v1": ("status", 401),
        "swipegames_v1": ("details", "unauthenticated: missing"),
        "evolution_v1": ("errors", 0, "code", "G.2"),
    }
    *path_to_it, expected = told[protocol]
    for step in path_to_it:
        refusal = refusal[step]
    assert refusal == expected
    assert (await studio.status(protocol))["sessions"] == 0


def test_every_account_of_a_file_is_opened_with_its_keys(tmp_path: Path) -> None:
    private, public = make_rsa_pair()
    for name, content in {
        "in.key": SECRET.secret,
        "out.key": LAUNCH_SECRET.secret,
        "in.pem": private,
        "out.pem": public,
    }.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(0o600)
    table = """
[[accounts]]
id = "{0}"
protocol = "{0}"
callback_base = "http://127.0.0.1:8700/providers/{0}"
inbound = {{ id = "{0}-in-1", secret = "file:in.{1}" }}
outbound = {{ id = "{0}-out-1", secret = "file:out.{1}" }}
exponents = {{ GLD = 6 }}
"""
    path = tmp_path / "accounts.toml"
    path.write_text("".join(table.format(one, "pem" if one == "hub88_v1" else "key") for one in PROTOCOLS))
    accounts = read_accounts(path)
    assert [account.id for account in accounts] == list(PROTOCOLS)
    assert accounts[0].callback_key == SigningKey("softswiss_v2-in-1", SECRET.secret)
    assert accounts[0].exponents == {"GLD": 6}
    as_json = tmp_path / "accounts.json"
    as_json.write_bytes(msgspec.json.encode(msgspec.toml.decode(path.read_bytes())))
    assert [account.id for account in read_accounts(as_json)] == list(PROTOCOLS)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (("hub88_v1", "no_such_v1"), "there is no protocol"),
        (('secret = "file:in.key"', 'secret = "file:gone"'), "gone cannot be read"),
        (('protocol = "hub88_v1"', 'protocol = "hub88_v1"\ntypo = 1'), "typo"),
        (('protocol = "hub88_v1"', 'protocol = "hub88_v1" "'), "accounts.toml"),
        (("id-of", "no id"), r"matching regex"),
    ],
)
def test_an_account_that_cannot_be_used_is_named(
    tmp_path: Path, change: tuple[str, str], complaint: str
) -> None:
    (tmp_path / "in.key").write_bytes(SECRET.secret)
    (tmp_path / "in.key").chmod(0o600)
    text = (
        '[[accounts]]\nid = "id-of"\nprotocol = "hub88_v1"\ncallback_base = "http://127.0.0.1:8700/providers/a"\n'
        'inbound = { id = "i", secret = "file:in.key" }\noutbound = { id = "o", secret = "file:in.key" }\n'
    )
    path = tmp_path / "accounts.toml"
    path.write_text(text.replace(*change))
    with pytest.raises(BadAccounts, match=complaint):
        read_accounts(path)


async def test_the_games_are_listed_to_whoever_proves_that_they_may_ask(studio: Studio) -> None:
    body, query = b'{"operator_id":1}', b"cID=c&extCID=e"
    gis = {"X-Merchant-Id": "m-7", "X-Timestamp": str(int(time.time())), "X-Nonce": "f" * 32}
    gis["X-Sign"] = sign_sorted_form(LAUNCH_SECRET, (), gis)
    lists = {
        "softswiss_v2": await studio.ask("GET", "/softswiss_v2/api/v1/operator/games"),
        "hub88_v1": await studio.ask(
            "POST",
            "/hub88_v1/operator/generic/v2/game/list",
            body,
            {"X-Hub88-Signature": sign_rsa_body(LAUNCH_PRIVATE, body)},
        ),
        "swipegames_v1": await studio.ask(
            "GET",
            f"/swipegames_v1/games?{query.decode()}",
            headers={"X-REQUEST-SIGN": sign_canonical_query(LAUNCH_SECRET, query)},
        ),
        "slotegrator_gis_v1": await studio.ask("GET", "/slotegrator_gis_v1/games", headers=gis),
    }
    for protocol, (status, answer) in lists.items():
        assert status == 200, (protocol, answer)
        assert [name for name in ("dice", "mines", "crash") if name not in json.dumps(answer)] == []
    for path in ("/swipegames_v1/games?cID=c", "/slotegrator_gis_v1/games"):
        assert (await studio.ask("GET", path))[0] == 401
    assert (await studio.ask("GET", "/evolution_v1/games"))[0] == 404
    assert (await studio.ask("GET", "/nobody/games"))[0] == 404


async def test_a_launch_of_gis_is_admitted_once(gateway: ForeignGateway, studio: Studio) -> None:
    launch = launch_of("slotegrator_gis_v1", "s-1", "p-1", "dice")
    first, second = [await studio.send("slotegrator_gis_v1", *launch) for _ in range(2)]
    assert (first[0], second[0]) == (200, 401)
