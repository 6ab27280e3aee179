"""Measures calls through Backroom, beside a plain UDP relay in the same run. See --help.

Sound: the very same packets run through the relay and through the box, by turns. Set-up, registrations and their rates
come from SIPp. Every program here runs with real-time priority when started by root, so that a delay is the program's
and not the machine's other work; without root the figures are as good as the machine is quiet."""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "lib"))

from callbox import BOX, NUMBER, PHONE, PHONE_PORT, TRUNK, Box, Sipp, listening, realtime
from programs import Use, end, eventually

RELAY, LEGS = "127.61.0.4", "127.61.0.5"
SOUND_PORT = 30000


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.rows, self.facts = [], []
        self.root = Path(tempfile.mkdtemp(prefix="backroom-calls-"))
        self.count = 0

    def folder(self):
        self.count += 1
        folder = self.root / f"{self.count:02}"
        folder.mkdir()
        return folder

    def row(self, what, value, unit, target=None, note=""):
        """A line of the table; with a target it is kept or missed."""
        kept = None if target is None else value <= target
        self.rows.append((what, value, unit, target, kept, note, os.getloadavg()[0]))
        print(f"  {what}: {shown(value)} {unit} {note}", file=sys.stderr)

    def fact(self, **values):
        self.facts.append({**values, "loadavg": os.getloadavg()[0]})

    def box(self, **more):
        return Box(self.arguments.backroom, self.folder(), priority=not self.arguments.plain, **more)

    def hil(self, *words):
        command = [self.arguments.hil, "bench", *map(str, words)]
        command = command if self.arguments.plain else realtime(command)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        figures = json.loads(done.stdout.splitlines()[-1]) if done.stdout else {"error": done.stderr}
        if "error" in figures:
            raise RuntimeError(f"hil bench {' '.join(map(str, words))}: {figures['error']}")
        return figures


def shown(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


# ---- sound


def through_relay(bench, calls):
    """The floor, this time."""
    command = [bench.arguments.hil, "bench", "relay", "--listen", f"{RELAY}:20000", "--peer", f"{LEGS}:{SOUND_PORT}",
               "--calls", str(calls)]
    relay = subprocess.Popen(command if bench.arguments.plain else realtime(command), stdout=subprocess.PIPE)
    relay.stdout.readline()
    try:
        return bench.hil("rtp", "--calls", calls, "--seconds", bench.arguments.seconds, "--port", SOUND_PORT,
                         "--pid", relay.pid, "relay", "--from", LEGS, "--to", f"{RELAY}:20000")
    finally:
        end(relay)


def through(bench, calls, pids, peer, caller, callee, number, *more):
    """The same calls with a B2BUA between."""
    watched = [word for pid in pids for word in ("--pid", pid)]
    return bench.hil("rtp", "--calls", calls, "--seconds", bench.arguments.seconds, "--port", SOUND_PORT, *watched,
                     "call", "--peer", peer, "--caller", caller, "--callee", callee, "--number", number, *more)


def sound(bench, name, pids, ends):
    """Relay and box by turns; medians, and their ratios."""
    direct = bench.hil("rtp", "--calls", 100, "--seconds", 3, "--port", SOUND_PORT, "direct", "--from", LEGS)
    own = direct["delay_us"]["p99"]
    bench.fact(what="generator alone", **direct["delay_us"])
    for calls in bench.arguments.calls:
        floor, box = [], []
        for _ in range(bench.arguments.runs):
            floor.append(through_relay(bench, calls))
            box.append(through(bench, calls, pids, *ends))
            bench.fact(what="sound", calls=calls, floor=floor[-1], box=box[-1])
        middle = lambda runs, pick: statistics.median(pick(r) for r in runs)
        cpu = lambda r: r["cpu_us_per_packet"]
        late = lambda r: max(r["delay_us"]["p99"] - own, 0.1)
        f, b = middle(floor, cpu), middle(box, cpu)
        bench.row(f"{calls} calls: CPU per packet, relay", f, "us")
        bench.row(f"{calls} calls: CPU per packet, {name}", b, "us")
        bench.row(f"{calls} calls: CPU per packet, times the relay's", b / f, "", 1.25)
        bench.row(f"{calls} calls: p50 delay, relay", middle(floor, lambda r: r["delay_us"]["p50"]), "us")
        bench.row(f"{calls} calls: p50 delay, {name}", middle(box, lambda r: r["delay_us"]["p50"]), "us")
        bench.row(f"{calls} calls: p99 added delay, relay", middle(floor, late), "us")
        bench.row(f"{calls} calls: p99 added delay, {name}", middle(box, late), "us")
        bench.row(f"{calls} calls: p99 added delay, times the relay's", middle(box, late) / middle(floor, late), "", 1.5)
        packets = sum(r["sent"] for r in box)
        bench.row(f"{calls} calls: packets lost, {name}", sum(r["lost"] for r in box), f"of {packets}", 0,
                  f"relay {sum(r['lost'] for r in floor)}")
        inband = through(bench, calls, pids, *ends, "--inband")
        bench.fact(what="sound without telephone-events", calls=calls, box=inband)
        bench.row(f"{calls} calls whose keys are tones: CPU per packet, {name}", cpu(inband), "us")
        threads = {}
        for r in box:
            for thread, percent in r["threads_percent"].items():
                threads.setdefault(thread, []).append(percent)
        print("   threads, % of a core: " + ", ".join(
            f"{t} {statistics.median(p):.2f}" for t, p in sorted(threads.items())), file=sys.stderr)


def box_sound(bench):
    box = bench.box()
    box.start()
    box.register(box.folder)
    ends = (f"{BOX}:5060", f"{TRUNK}:5060", f"{PHONE}:{PHONE_PORT}", NUMBER)
    sound(bench, "backroom", [box.process.pid], ends)
    used = [n for n in bench.arguments.calls if n == 100]
    if used:
        memory = during(bench, box, ends, 100)
        bench.row("RSS at 100 calls", memory, "MB", 40)
    box.stop()


def during(bench, box, ends, calls):
    """Memory while so many calls are up; read from a fresh box."""
    box.stop()
    box.start()
    box.register(box.folder)
    command = [bench.arguments.hil, "bench", "rtp", "--calls", str(calls), "--seconds", "4", "--port", str(SOUND_PORT),
               "call", "--peer", ends[0], "--caller", ends[1], "--callee", ends[2], "--number", ends[3]]
    playing = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(4)
    memory = box.rss_mb()
    playing.wait(60)
    return memory


# ---- signalling


def start_up(bench):
    box = bench.box()
    first = box.start()
    times = []
    for _ in range(bench.arguments.runs):
        box.stop()
        times.append(box.start())
    bench.row("exec to first answered OPTIONS, first start", first, "ms")
    bench.row("exec to first answered OPTIONS", statistics.median(times), "ms", 25, f"median of {len(times)}")
    time.sleep(bench.arguments.idle)
    before, began = box.use.cpu(), time.monotonic()
    bench.row("RSS idle", box.rss_mb(), "MB", 20)
    time.sleep(5)
    bench.row("CPU idle", (box.use.cpu() - before) / (time.monotonic() - began) * 100, "% of a core")
    box.stop()


def pace(bench, name, pids, ends):
    """Set-up time of calls on a box that has nothing else to do."""
    peer, caller, callee, number = ends
    times = []
    for _ in range(bench.arguments.runs):
        done = bench.hil("rtp", "--calls", 100, "--port", SOUND_PORT, *[w for p in pids for w in ("--pid", p)],
                         "set-up", "--rate", 20, "--peer", peer, "--caller", caller, "--callee", callee,
                         "--number", number)
        bench.fact(what="set-up at 20/s", **done)
        times.append(done)
    middle = lambda pick: statistics.median(pick(t) for t in times)
    bench.row(f"set-up p50 at 20 calls/s, {name}", middle(lambda t: t["set_up_us"]["p50"]) / 1e3, "ms", 1.2)
    bench.row(f"set-up p99 at 20 calls/s, {name}", middle(lambda t: t["set_up_us"]["p99"]) / 1e3, "ms")


def call_rate(bench, folder, rate, calls, ends):
    """SIPp calls SIPp through the box: half a second each, all ended."""
    (peer, caller, callee, number) = ends
    host, port = callee.rsplit(":", 1)
    far = Sipp(folder, "answer", host, int(port), calls)
    listening(host, int(port))
    near = Sipp(folder, "call", *caller.rsplit(":", 1), calls, far=peer, rate=rate, service=number, hold_ms=500,
                box=peer.rsplit(":", 1)[0])
    near.wait(calls / rate + 90)
    try:
        far.wait(40)
    except TimeoutError:
        print("   the callee did not get all calls", file=sys.stderr)
    return near.figures(), far.figures()


def set_up(bench):
    box = bench.box()
    box.start()
    box.register(box.folder)
    ends = (f"{BOX}:5060", f"{TRUNK}:5060", f"{PHONE}:{PHONE_PORT}", NUMBER)
    pace(bench, "backroom", [box.process.pid], ends)
    for rate in bench.arguments.rates:
        calls = rate * bench.arguments.rate_seconds
        there, before = sum(box.records().values()), box.use.cpu()
        near, far = call_rate(bench, box.folder, rate, calls, ends)
        # The records of the last calls are on their way to the disk.
        eventually(lambda: sum(box.records().values()) - there >= calls, "a record of each call", 20, 0.2)
        cpu = (box.use.cpu() - before) * 1e3 / calls
        target = 1.0 if rate == 800 else None
        bench.fact(what="calls a second", rate=rate, near=near, far=far, cpu_ms=cpu, records=box.records())
        bench.row(f"{rate} calls/s: failed", near["failed"] + calls - near["good"] - near["failed"], f"of {calls}",
                  0 if rate <= 800 else None, f"sent again {near['again']}+{far['again']}")
        bench.row(f"{rate} calls/s: CPU per call, with its durable record", cpu, "ms", target)
        bench.row(f"{rate} calls/s: RSS after", box.rss_mb(), "MB")
    wrong = {cause: n for cause, n in box.records().items() if cause != "hangup"}
    bench.row("records that do not end with a hang-up", sum(wrong.values()), "", 0, str(wrong or ""))
    box.stop()


def registrations(bench):
    box = bench.box(phones=500)
    box.start()
    folder = box.folder
    users = box.users()
    for rate in bench.arguments.register_rates:
        count = rate * bench.arguments.rate_seconds
        before = box.use.cpu()
        figures = register_many(folder, users, rate, count)
        cpu = (box.use.cpu() - before) * 1e3 / count
        bench.fact(what="registrations a second", rate=rate, cpu_ms=cpu, **figures)
        bench.row(f"{rate} REGISTER/s: failed", count - figures["good"], f"of {count}", 0,
                  f"sent again {figures['again']}")
        bench.row(f"{rate} REGISTER/s: CPU each, with its challenge", cpu, "ms",
                  0.1 if rate == max(bench.arguments.register_rates) else None)
    box.stop()


def register_many(folder, users, rate, count):
    sipp = Sipp(folder, "register_many", PHONE, 56074, count, far=f"{BOX}:5060", rate=rate, extra=["-inf", users])
    sipp.wait(count / rate + 60)
    return sipp.figures()


# RFC 3261's longest timers are 32 s, and media ports drain meanwhile; then the box, seeing itself quiet, hands free pages
# back, at most once a minute.
REST = 120


def growth(bench):
    """Many calls, many registrations: nothing stays."""
    a = bench.arguments
    # The copy of the database after ten minutes keeps a descriptor and a cache: it is none of the calls' business.
    box = bench.box(phones=500, backups=False)
    box.start()
    box.register(box.folder)
    ends = (f"{BOX}:5060", f"{TRUNK}:5060", f"{PHONE}:{PHONE_PORT}", NUMBER)
    users = box.users()

    def registers(count):
        done = register_many(box.folder, users, 1600, count)
        box.register(box.folder)
        return done

    # Everything was used once before the first look: tables that are kept, threads, prepared statements.
    registers(8000)
    call_rate(bench, box.folder, 400, 4000, ends)
    time.sleep(REST)
    fds, before = box.descriptors(), box.rss_mb()
    bursts = [
        (f"{a.many_calls} short calls", a.many_calls, lambda: call_rate(bench, box.folder, 400, a.many_calls, ends)[0]),
        (f"{a.many_registers} REGISTERs", a.many_registers, lambda: registers(a.many_registers)),
        (f"{a.many_calls} short calls again", a.many_calls,
         lambda: call_rate(bench, box.folder, 400, a.many_calls, ends)[0]),
    ]
    for what, count, burst in bursts:
        done = burst()
        peak = box.rss_mb()
        time.sleep(REST)
        bench.row(f"{what}: failed", count - done["good"], "", 0)
        bench.row(f"{what}: RSS after", box.rss_mb(), "MB", 64, f"before {before:.1f}, last moment {peak:.1f}")
        bench.row(f"{what}: RSS more", box.rss_mb() - before, "MB", 2)
        bench.row(f"{what}: descriptors more", box.descriptors() - fds, "", 0)
    box.stop()


# ---- somebody else's


def foreign(bench):
    a = bench.arguments
    ends = (a.peer, a.caller, a.callee, a.number)
    sound(bench, a.peer, a.peer_pid, ends)
    pace(bench, a.peer, a.peer_pid, ends)
    for rate in a.rates:
        calls = rate * a.rate_seconds
        uses = [Use(argparse.Namespace(pid=pid)) for pid in a.peer_pid]
        before = sum(use.cpu() for use in uses)
        near, far = call_rate(bench, bench.folder(), rate, calls, ends)
        cpu = (sum(use.cpu() for use in uses) - before) * 1e3 / calls
        bench.row(f"{rate} calls/s: failed", calls - near["good"], f"of {calls}", None, f"sent again {near['again']}")
        bench.row(f"{rate} calls/s: CPU per call", cpu, "ms")


def machine():
    git = lambda *c: subprocess.run(["git", *c], capture_output=True, text=True, check=False).stdout.strip()
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": model.group(1) if model else os.uname().machine, "nproc": os.cpu_count(), "load": os.getloadavg()[0],
        "kernel": os.uname().release, "commit": git("rev-parse", "--short", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
    }


def table(bench, began):
    where = machine()
    print(f"{where['cpu']}, {where['nproc']} cores, kernel {where['kernel']}, loopback; commit {where['commit']}"
          f"{' and changes' if where['dirty'] else ''}; load {began:.2f} at the beginning; "
          f"{'no priority' if bench.arguments.plain or os.geteuid() else 'real-time priority'}")
    print(f"{'what':<58} {'measured':>10} {'unit':<14} {'target':>7}  {'':<7} {'load':>5}")
    for what, value, unit, target, kept, note, load in bench.rows:
        word = {None: "", True: "kept", False: "MISSED"}[kept]
        limit = "" if target is None else f"{target:g}"
        print(f"{what:<58} {shown(value):>10} {unit:<14} {limit:>7}  {word:<7} {load:>5.2f}  {note}")


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench calls", description=__doc__)
    parser.add_argument("--backroom", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--hil", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="also write every figure as a JSON line")
    parser.add_argument("--only", default="", help="parts to measure: start sound setup register growth")
    parser.add_argument("--runs", type=int, default=5, help="runs that a median is of")
    parser.add_argument("--seconds", type=int, default=10, help="seconds of sound in a run")
    parser.add_argument("--calls", type=int, nargs="+", default=[100, 400], help="calls at a time")
    parser.add_argument("--rates", type=int, nargs="+", default=[100, 400, 800], help="calls a second")
    parser.add_argument("--register-rates", type=int, nargs="+", default=[400, 1600], help="registrations a second")
    parser.add_argument("--rate-seconds", type=int, default=20, help="seconds of each rate")
    parser.add_argument("--idle", type=int, default=20, help="seconds before idle memory is read")
    parser.add_argument("--many-calls", type=int, default=24000, help="short calls after which memory is read")
    parser.add_argument("--many-registers", type=int, default=100000, help="registrations after which it is read")
    parser.add_argument("--plain", action="store_true", help="no real-time priority, also as root")
    peer = parser.add_argument_group("another B2BUA instead of the box")
    peer.add_argument("--peer", metavar="ADDR", help="HOST:PORT that takes calls over UDP and sends them to --callee")
    peer.add_argument("--peer-pid", type=int, nargs="+", default=[], help="its processes")
    peer.add_argument("--caller", default=f"{TRUNK}:5060", help="where calls come from: it must trust this")
    peer.add_argument("--callee", default=f"{PHONE}:{PHONE_PORT}", help="where it is to send calls for --number")
    peer.add_argument("--number", default=NUMBER, help="what is dialled")
    a = parser.parse_args()
    # A fictional number, whoever's B2BUA it is: 555-01xx leads nowhere, and never to an emergency centre.
    if not re.fullmatch(r"\+1\d{3}55501\d\d", a.number):
        parser.error("--number takes one that is kept for examples, as +12065550100")
    bench, began = Bench(a), os.getloadavg()[0]
    if a.peer:
        parts = {"peer": lambda: foreign(bench)}
    else:
        parts = {"start": start_up, "sound": box_sound, "setup": set_up, "register": registrations, "growth": growth}
        parts = {name: (lambda part=part: part(bench)) for name, part in parts.items()}
    wanted = a.only.split() or list(parts)
    broken = []
    for name in wanted:
        print(f"== {name}", file=sys.stderr)
        try:
            parts[name]()
        except (RuntimeError, TimeoutError, OSError) as why:
            broken.append(f"{name}: {why}")
            print(f"  {why}", file=sys.stderr)
    table(bench, began)
    for why in broken:
        print(f"not measured: {why}")
    if a.json:
        with open(a.json, "a") as file:
            for row in [machine(), *bench.facts]:
                file.write(json.dumps(row) + "\n")
            for what, value, unit, target, kept, note, load in bench.rows:
                file.write(json.dumps({"what": what, "value": value, "unit": unit, "target": target, "kept": kept,
                                       "note": note, "loadavg": load}) + "\n")
    missed = [r for r in bench.rows if r[4] is False]
    return 1 if missed or broken else 0


if __name__ == "__main__":
    sys.exit(main())
