"""A box whose line is a number at the simulated Twilio, each in a network namespace of its own, through kills, cuts and
everything that an upstream does wrong. What Twilio has and what the box has must be the same. See --help."""

import argparse
import collections
import contextlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "scripts" / "bench.d" / "lib"))

from netns import HERE, THERE, Wire  # noqa: E402
from programs import Lines, Modem, end, eventually, query  # noqa: E402

ACCOUNT = "AC00000000000000000000000000000001"
TOKEN = "simulated-auth-token"
NUMBER = "+12065550199"
API, CONTROL, WEB = 8091, 8092, 8080
# Nobody's quiet hours, and a pace that a test can live with: the simulated carrier has none.
SETTINGS = """shop.name = "Green Valley"
sms.pace = 0.001
sms.burst = 1000
sms.replies = 1000
sms.settle = 0.5
sms.look_again = 2
sms.retry_first = 0.2
sms.retry_most = 2
"""


class Twilio:
    """`hil twilio` on the far side of the wire."""

    def __init__(self, hil, wire):
        self.space = wire.there
        command = self.space.command(
            [hil, "twilio", "--listen", f"{THERE}:{API}", "--control", f"127.0.0.1:{CONTROL}", "--number", NUMBER]
        )
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.url = json.loads(self.process.stdout.readline())["url"]

    def ask(self, path, body=None):
        """A control endpoint's answer."""
        with self.space.entered():
            connection = http.client.HTTPConnection("127.0.0.1", CONTROL, timeout=60)
            connection.connect()
        method, data = ("GET", None) if body is None else ("POST", json.dumps(body))
        connection.request(method, f"/_sim/{path}", data, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{path}: {answer.status} {text!r}")
        return json.loads(text) if text else None

    def settings(self, **changed):
        self.ask("settings", self.ask("settings") | changed)

    def faults(self, *plans):
        self.ask("faults", list(plans))

    def outbound(self):
        return self.ask("outbound")

    def stop(self):
        end(self.process)


class Box:
    """`backroom run`, killed and started again."""

    def __init__(self, binary, folder, wire, twilio, lines="", settings="", overlap=60, poll=1):
        self.binary, self.folder, self.space = binary, folder, wire.here
        self.data, self.config = folder / "data", folder / "backroom.toml"
        token = folder / "token"
        token.write_text(TOKEN)
        self.url = f"http://{HERE}:{WEB}"
        self.config.write_text(
            f'[storage]\npath = "{self.data}"\n[[shop]]\nid = "main"\n[shop.settings]\n{SETTINGS}{settings}\n{lines}\n'
            f'[[line]]\nid = "twilio"\nkind = "twilio"\naccount = "{ACCOUNT}"\nauth_token_file = "{token}"\n'
            f'number = "{NUMBER}"\napi_url = "{twilio.url}"\nstudio_url = "{twilio.url}"\n'
            f'public_url = "{self.url}"\npoll = {poll}\npoll_idle = {poll}\noverlap = {overlap}\n'
            f'[web]\nlisten = "{HERE}:{WEB}"\n'
        )
        twilio.ask("numbers", {"number": NUMBER, "sms_url": f"{self.url}/twilio/twilio/message"})
        self.process, self.control = None, None
        self.starts, self.kills, self.terms = 0, 0, 0

    def start(self):
        with open(self.folder / "backroom.log", "ab") as log:
            self.process = subprocess.Popen(
                self.space.command([self.binary, "--config", self.config, "run"]), stdout=log, stderr=log,
                env={**os.environ, "RUST_LOG": os.environ.get("RUST_LOG", "warn")},
            )
        self.starts += 1
        eventually(self.answers, "backroom answers", 60, 0.02)

    def answers(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"backroom ended by itself: see {self.folder}/backroom.log")
        with contextlib.suppress(OSError, ValueError):
            self.control = Lines(self.data / "control.sock")
            return "ok" in self.control.ask(do="status")
        return False

    def ask(self, **request):
        answer = self.control.ask(**request)
        if "ok" not in answer:
            raise RuntimeError(f"{request['do']}: {answer}")
        return answer["ok"]

    def status(self):
        return self.ask(do="status")

    def stop(self, how=signal.SIGTERM):
        if self.process is None:
            return
        if self.control is not None:
            self.control.close()
        self.process.send_signal(how)
        self.process.wait(30)
        self.kills += how == signal.SIGKILL
        self.terms += how == signal.SIGTERM
        if how == signal.SIGTERM and self.process.returncode:
            raise RuntimeError(f"SIGTERM ended it with {self.process.returncode}")
        self.process, self.control = None, None

    def query(self, sql, *values):
        return query(self.data, sql, *values)

    def lines(self, *words):
        """What a command prints, a JSON object a line."""
        done = subprocess.run([self.binary, "--config", self.config, *words], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"backroom {' '.join(words)}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]


class Chaos:
    """Kills the box, ends it, and cuts the wire, now and then, for as long as it is asked to."""

    def __init__(self, box, wire, chance, pause=(1.0, 4.0), before=lambda: None):
        self.box, self.wire, self.chance, self.pause, self.before = box, wire, chance, pause, before
        self.due, self.mend = time.monotonic() + chance.uniform(*pause), None

    def step(self):
        now = time.monotonic()
        if self.mend is not None and now >= self.mend:
            self.wire.mend()
            self.mend = None
        if now < self.due:
            return
        what = self.chance.random()
        if what < 0.7:
            self.before()
            self.box.stop(signal.SIGKILL if what < 0.5 else signal.SIGTERM)
            time.sleep(self.chance.uniform(0, 1))
            self.box.start()
        elif self.mend is None:
            self.wire.cut()
            self.mend = now + self.chance.uniform(0.2, 5)
        self.due = time.monotonic() + self.chance.uniform(*self.pause)

    def over(self):
        self.wire.mend()
        self.mend = None


def table(title, rows):
    width = max(len(name) for name, _ in rows)
    print(f"\n{title}")
    for name, value in rows:
        print(f"  {name:<{width}}  {value}")
    sys.stdout.flush()


def too_many(twilio):
    return twilio.ask("stats")["by_status"].get("429", 0)


def doubled_and_lost(box, twilio):
    """What left the box, by address and body: the box's rows, the upstream's messages, and what is wrong between."""
    rows = box.query(
        "SELECT peer, body, status, upstream_sid FROM message WHERE direction = 'out' AND line_id = 'twilio'"
    )
    there = twilio.outbound()
    have, sent = collections.Counter(), collections.Counter((m["to"], m["body"]) for m in there)
    unknown = collections.Counter()
    status = collections.Counter()
    for peer, body, state, _ in rows:
        have[peer, body] += 1
        status[state] += 1
        unknown[peer, body] += state == "unknown"
    known = {sid for *_, sid in rows if sid}
    sids = {m["sid"] for m in there}
    never = collections.Counter()
    for peer, body, state, _ in rows:
        # Those that wait, or are being looked for, may come yet.
        never[peer, body] += state in ("failed", "queued", "sending")
    keys = set(have) | set(sent)
    # Nobody says of an unknown one that it was sent; of any other that ended well, somebody does.
    lost = sum(max(have[k] - never[k] - unknown[k] - sent[k], 0) for k in keys)
    doubled = sum(max(sent[k] - have[k], 0) for k in keys)
    arrived = sum(min(unknown[k], max(sent[k] - (have[k] - never[k] - unknown[k]), 0)) for k in unknown)
    return {
        "rows": len(rows), "at Twilio": len(there), "lost": lost, "doubled": doubled, "status": dict(status),
        "unknown": sum(unknown.values()), "unknown that arrived": arrived, "wrong sids": len(known - sids),
    }


def unsettled(box):
    rows = box.query(
        "SELECT count(*) FROM message WHERE direction = 'out' AND status IN ('queued', 'sending') AND not_before IS NULL"
    )
    return rows[0][0]


def settle(box, what, patience, pause=0.5):
    """Waits until nothing is on its way; returns how many still are."""
    until = time.monotonic() + patience
    while (left := unsettled(box)) and time.monotonic() < until:
        time.sleep(pause)
    if left:
        print(f"{what}: {left} texts are still on their way after {patience} s")
    return left


class Refusals:
    """What the box counted as told again, over all its lives."""

    def __init__(self, box):
        self.box, self.counts = box, collections.Counter()

    def note(self):
        status = self.box.status()
        self.counts["by webhook"] += status["edges"].get("web", {}).get("repeated", 0)
        self.counts["by polling"] += status["shops"]["main"]["counters"].get("texts_told_again", 0)


def inbound(world, texts, chance):
    """Everything that comes in is there once."""
    box, twilio, wire = world.box(), world.twilio, world.wire
    box.start()
    refused = Refusals(box)
    twilio.settings(list_spread_ms=8000, webhook_copies=1, webhook_spread_ms=3000, page_overlap=3)
    twilio.faults(
        {"fault": {"too_many": {"retry_after": 1}}, "on": "reads", "every": 11},
        {"fault": "lost_answer", "on": "reads", "every": 37},
        {"fault": "error500", "on": "reads", "every": 41},
        {"fault": "truncated", "on": "reads", "every": 43},
        {"fault": "cut_body", "on": "reads", "every": 47},
        {"fault": {"slow": {"seconds": 1.5}}, "on": "reads", "every": 53},
        {"fault": "portal", "on": "reads", "every": 59},
        # Replies go the same way.
        {"fault": {"too_many": {"retry_after": 1}}, "on": "writes", "every": 97},
    )
    began = time.monotonic()
    twilio.ask("bulk", {"count": texts, "per_second": world.rate, "people": 2000, "body": "text", "media_every": 500})
    chaos = Chaos(box, wire, chance, before=refused.note)
    lasts = texts / world.rate + 2
    while time.monotonic() - began < lasts:
        chaos.step()
        time.sleep(0.02)
    chaos.over()
    count = "SELECT count(*) FROM message WHERE direction = 'in'"
    until = time.monotonic() + 300
    while time.monotonic() < until and box.query(count)[0][0] < texts:
        time.sleep(0.2)
    took = time.monotonic() - began
    # Stragglers of the list, and doubles that would come after all.
    time.sleep(10)
    left = settle(box, "replies", 240)
    refused.note()
    there = {m["sid"]: m for m in twilio.ask("messages") if m["direction"] == "inbound"}
    rows = box.query("SELECT upstream_sid, peer, body FROM message WHERE direction = 'in'")
    here = collections.Counter(sid for sid, *_ in rows)
    lost = sum(sid not in here for sid in there)
    doubled = sum(n - 1 for n in here.values()) + sum(sid not in there for sid in here)
    wrong = sum(sid in there and (there[sid]["from"], there[sid]["body"]) != (peer, body) for sid, peer, body in rows)
    media = collections.Counter(dict(box.query("SELECT state, count(*) FROM media GROUP BY 1")))
    out = doubled_and_lost(box, twilio)
    answered = collections.Counter(d["answer"] for d in twilio.ask("deliveries") if d["status"] == "received")
    table("inbound", [
        ("texts", len(there)), ("seconds until the last was stored", f"{took:.1f}"),
        ("kill -9", box.kills), ("SIGTERM and start", box.terms), ("cuts", wire.cuts), ("429s", too_many(twilio)),
        ("webhooks taken", answered.pop(200, 0)), ("webhooks not taken, by answer", dict(answered)),
        ("repeats refused", f"{refused.counts['by webhook']} webhooks, {refused.counts['by polling']} polled texts"),
        ("stored", len(rows)), ("lost", lost), ("doubled", doubled), ("wrong words or person", wrong),
        ("files", dict(media)), ("replies", out),
    ])
    good = not lost and not doubled and not wrong and len(rows) == len(there) == texts and not left
    good = good and media["kept"] == sum(media.values()) and not out["lost"] and not out["doubled"]
    box.stop()
    return good


class Sender:
    """Asks the box to send what is wanted, again what it did not keep, and goes on where a kill broke it off."""

    def __init__(self, box, wanted):
        self.box, self.wanted, self.todo = box, wanted, None

    def reckon(self):
        kept = collections.Counter()
        for peer, body in self.box.query("SELECT peer, body FROM message WHERE direction = 'out'"):
            kept[peer, body] += 1
        self.todo = collections.deque((self.wanted - kept).elements())

    def step(self, most):
        """True when all is the box's."""
        if self.todo is None:
            self.reckon()
        part = [self.todo.popleft() for _ in range(min(most, len(self.todo)))]
        asked = [{"do": "send", "shop": "main", "to": to, "body": body} for to, body in part]
        for answer in self.box.control.ask_all(asked):
            if "ok" not in answer:
                raise RuntimeError(answer)
        return not self.todo


def outbound(world, texts, chance):
    """Everything that is to leave leaves once, or is in doubt and listed."""
    box, twilio, wire = world.box(), world.twilio, world.wire
    box.start()
    # Lists show what was just sent late: who looks once and too early sends twice.
    twilio.settings(own_list_lag_ms=1500, step_ms=200)
    twilio.faults(
        {"fault": "commit_then500", "on": "writes", "every": 67},
        {"fault": "lost_answer", "on": "writes", "every": 61},
        {"fault": "lost_request", "on": "writes", "every": 101},
        {"fault": "commit_then_silence", "on": "writes", "every": 499},
        {"fault": "silence", "on": "writes", "every": 997},
        {"fault": "truncated", "on": "writes", "every": 131},
        {"fault": "cut_body", "on": "writes", "every": 137},
        {"fault": {"too_many": {"retry_after": 1}}, "on": "writes", "every": 149},
        {"fault": "unavailable", "on": "writes", "every": 157},
        {"fault": {"slow": {"seconds": 2}}, "on": "writes", "every": 97},
        {"fault": "lost_answer", "on": "reads", "every": 97},
        {"fault": {"too_many": {"retry_after": 1}}, "on": "reads", "every": 61},
        {"fault": "truncated", "on": "reads", "every": 103},
    )
    wanted = collections.Counter()
    for number in range(texts):
        person = f"+1206557{number % 2000:04}"
        # A fifth says the same to the same person again and again.
        body = "Your mower is ready." if number % 2000 < 400 else f"Your order {number} is ready."
        wanted[person, body] += 1
    sender = Sender(box, wanted)
    # Lives may be far shorter than it takes to look for a text twice: what was found out outlives them.
    chaos = Chaos(box, wire, chance, pause=world.kill_every)
    began = time.monotonic()
    done = False
    # Up to the last text: nothing needs an undisturbed hour to settle.
    while not done or unsettled(box):
        if time.monotonic() - began > world.patience:
            print(f"sends: {unsettled(box)} texts are still on their way after {world.patience} s")
            break
        starts = box.starts
        chaos.step()
        if box.starts != starts:
            sender.todo, done = None, False
        if not done:
            # No faster than it leaves, or the last kill would be long before the last text.
            if unsettled(box) < 300:
                done = sender.step(50)
        time.sleep(0.05)
    chaos.over()
    left = unsettled(box)
    took = time.monotonic() - began
    time.sleep(5)
    out = doubled_and_lost(box, twilio)
    listed = box.lines("sms", "unknown")
    rows = collections.Counter(
        tuple(row) for row in box.query("SELECT peer, body FROM message WHERE direction = 'out'")
    )
    missing = sum((wanted - rows).values())
    more = sum((rows - wanted).values())
    looked = twilio.ask("stats")
    table("outbound", [
        ("sends", texts), ("seconds", f"{took:.1f}"), ("kill -9", box.kills), ("SIGTERM and start", box.terms),
        ("cuts", wire.cuts), ("429s", too_many(twilio)), ("POST Messages", looked["by_resource"].get("POST Messages")),
        ("answers", looked["by_status"]), ("result", out), ("still on their way", left),
        ("not taken by the box", missing), ("taken twice", more), ("listed by sms unknown", len(listed)),
    ])
    good = not (out["lost"] or out["doubled"] or out["wrong sids"] or missing or more or left)
    good = good and len(listed) == out["unknown"] and "failed" not in out["status"]
    box.stop()
    return good


def failover(world, _texts, _chance):
    """The other line takes over within ten seconds, and hands back."""
    folder = world.fresh()
    modem = Modem(world.hil, folder)
    world.modems.append(modem)
    line = f'[[line]]\nid = "sim1"\nport = "{modem.link}"\n'
    # Who is in the middle of a conversation stays with the line that took over; here, conversations are over soon.
    box = world.box(folder=folder, lines=line, settings="silence = 2\n")
    twilio, wire = world.twilio, world.wire
    box.start()
    eventually(lambda: all(l["up"] for l in box.status()["shops"]["main"]["lines"].values()), "both lines are up", 30)
    # One person knows the modem's number, one knows Twilio's.
    modem.deliver("+12065558001", "hello")
    twilio.ask("inbound", [{"from": "+12065558002", "body": "hello"}])
    heard = "SELECT count(DISTINCT peer) FROM message WHERE direction = 'in'"
    eventually(lambda: box.query(heard)[0][0] == 2, "both are heard", 30)
    eventually(lambda: box.status()["shops"]["main"]["conversations"] == 0, "the conversations are over", 60)
    settle(box, "answers", 20)
    ways = {
        "sim1": lambda body: any(t["text"] == body for t in modem.submitted()),
        "twilio": lambda body: any(m["body"] == body for m in twilio.outbound()),
    }
    results, bad = [], []

    def when(name, to, way, most, act):
        """A text every half second from `act` on: seconds until one, and seconds until the first, went that way."""
        act()
        began, sent, first = time.monotonic(), {}, None
        while first is None and time.monotonic() - began < most:
            body = f"{name} {len(sent)}"
            box.ask(do="send", shop="main", to=to, body=body)
            sent[body] = time.monotonic()
            pause = time.monotonic() + 0.5
            while time.monotonic() < pause and first is None:
                if any(ways[way](body) for body in sent):
                    first = time.monotonic() - began
                time.sleep(0.05)
        took = first if first is not None else float("inf")
        # Whatever way: each leaves, and once.
        left = settle(box, name, 60)
        here = collections.Counter(t["text"] for t in modem.submitted())
        there = collections.Counter(m["body"] for m in twilio.outbound())
        counts = [here[b] + there[b] for b in sent]
        lost, doubled = counts.count(0), sum(n - 1 for n in counts if n)
        results.append((name, f"{took:.1f} s; {len(sent)} texts, {lost} lost, {doubled} doubled"))
        if took > 10 or lost or doubled or left:
            bad.append(name)

    when("before, by the modem", "+12065558001", "sim1", 10, lambda: None)
    when("before, by Twilio", "+12065558002", "twilio", 10, lambda: None)
    when("modem unplugged, person of the modem", "+12065558001", "twilio", 40, lambda: modem.ask(cmd="unplug"))
    when("plugged in, person of the modem", "+12065558001", "sim1", 40, lambda: modem.ask(cmd="replug"))
    when("network cut here, person of Twilio", "+12065558002", "sim1", 60, wire.cut)
    when("network back, person of Twilio", "+12065558002", "twilio", 60, wire.mend)
    when("network cut far away, person of Twilio", "+12065558002", "sim1", 60, wire.cut)
    when("network back again, person of Twilio", "+12065558002", "twilio", 60, wire.mend)
    box.stop()
    table("failover: seconds until the first text by the other line", results)
    if bad:
        print("too slow, lost or doubled:", ", ".join(bad))
    return not bad


class World:
    """One part's simulator and wire, thrown away after it."""

    def __init__(self, args, folder):
        self.args, self.folder, self.count = args, folder, 0
        self.hil, self.rate, self.patience = args.hil, args.rate, args.patience
        self.kill_every = args.kill_every
        self.wire = Wire()
        self.boxes, self.modems = [], []
        try:
            self.twilio = Twilio(args.hil, self.wire)
        except BaseException:
            self.wire.remove()
            raise

    def fresh(self):
        self.count += 1
        folder = self.folder / f"box{self.count}"
        folder.mkdir()
        return folder

    def box(self, folder=None, **more):
        box = Box(self.args.backroom, folder or self.fresh(), self.wire, self.twilio, **more)
        self.boxes.append(box)
        return box

    def remove(self):
        for box in self.boxes:
            if box.process is not None:
                box.process.kill()
                box.process.wait()
        for modem in self.modems:
            modem.stop()
        self.twilio.stop()
        self.wire.remove()


PARTS = {"inbound": inbound, "outbound": outbound, "failover": failover}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default all")
    parser.add_argument("--backroom", required=True)
    parser.add_argument("--hil", required=True)
    parser.add_argument("--folder", required=True, help="where working directories are made")
    parser.add_argument("--texts", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=80, help="texts a second that come in")
    parser.add_argument("--patience", type=float, default=900, help="seconds after which sends are given up")
    parser.add_argument(
        "--kill-every", type=float, nargs=2, default=(5, 15), metavar=("LEAST", "MOST"),
        help="seconds between two kills or cuts while sends leave",
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--keep", action="store_true", help="leave the working directories behind")
    args = parser.parse_args()
    args.backroom, args.hil = (str(Path(p).resolve()) for p in (args.backroom, args.hil))
    unknown = [p for p in args.parts if p not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}")
    print(f"seed {args.seed}")
    failed = []
    for part in args.parts or PARTS:
        folder = Path(tempfile.mkdtemp(prefix=f"upstream-{part}-", dir=args.folder))
        world = World(args, folder)
        try:
            good = PARTS[part](world, args.texts, random.Random(args.seed))
        finally:
            world.remove()
        print(f"{part}: {'proven' if good else 'NOT PROVEN'}", flush=True)
        if not good:
            failed.append(part)
        if good and not args.keep:
            subprocess.run(["rm", "-rf", folder], check=True)
        else:
            print(f"files in {folder}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
