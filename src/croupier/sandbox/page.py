"""The page a player's browser opens: what is played, how it is proven fair, and a button. Pure."""

from html import escape
from string import Template
from typing import Final

from croupier.sandbox.calls import Seat

_PAGE: Final = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>$game</title>
<h1>$game</h1>
<p>Player <b>$player</b>, playing in <b>$asset</b>. A provider for tests: nothing here is worth money.</p>
<p>$fairness</p>
<form id="form">
<label>Rounds <input name="rounds" type="number" value="1" min="1" max="100" required></label>
<label>Stake in minor units <input name="stake" value="100" pattern="0|[1-9][0-9]*" required></label>
<button>Play</button>
</form>
<pre id="result" role="status"></pre>
<script>
document.getElementById("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = event.target.elements;
  const order = {rounds: Number(fields.rounds.value), stake: fields.stake.value, seed: crypto.randomUUID()};
  const reply = await fetch("", {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(order),
  });
  document.getElementById("result").textContent = JSON.stringify(await reply.json(), null, 2);
});
</script>
</html>
""")


def render_page(seat: Seat, name: str, fairness: str) -> str:
    """The page as HTML; every value is escaped."""
    return _PAGE.substitute(
        game=escape(name),
        player=escape(seat.player_id),
        asset=escape(seat.asset),
        fairness=escape(fairness),
    )
