"""Measures texts through `hil modem`, beside gammu-smsd, smstools and a floor in the same run. See --help."""

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import programs
from programs import CUSTOMER, Backroom, Dealer, Floor, GammuSmsd, Modem, Smstools, eventually, version

IN_LENGTH = "Is my mower ready? Text number "
OUT_LENGTH = "Your order is ready for pickup. Text number "


class Bench:
    def __init__(self, arguments):
        self.arguments = arguments
        self.rows = []
        self.root = Path(tempfile.mkdtemp(prefix="backroom-bench-"))
        self.count = 0

    def folder(self):
        self.count += 1
        folder = self.root / f"{self.count:02}"
        folder.mkdir()
        return folder

    def note(self, what, program, **values):
        row = {"what": what, "program": program, **values, "loadavg": os.getloadavg()[0]}
        self.rows.append(row)
        print(f"  {what}, {program}: " + " ".join(f"{k}={shown(v)}" for k, v in values.items()), file=sys.stderr)


def shown(value):
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def texts_in(count, mark):
    """From alphanumeric senders: stored, and nobody expects an answer."""
    return [(f"INFO{n % 500:03}", f"{IN_LENGTH}{mark}{n}") for n in range(count)]


def texts_out(count, mark):
    return [(f"+1206555{n % 1000 + 1000:04}", f"{OUT_LENGTH}{mark}{n}") for n in range(count)]


def lost(wanted, got):
    """How many of the texts are not there, and how many are there too often."""
    got = [g.strip() for g in got]
    return len(set(wanted) - set(got)), len(got) - len(set(got))


def spent(before, use, count):
    return (use.cpu() - before) / count * 1e3


def gone(modem, count):
    """Waits until `count` texts have been deleted from the modem, and gives the time."""
    eventually(lambda: modem.counters()["deleted"] >= count, f"{count} texts taken from the modem", 600, 0.05)
    return time.monotonic()


def disk(bench):
    """What an fsync of a short append takes now: rates and delays follow it."""
    path, took = bench.folder() / "probe", []
    with open(path, "ab", buffering=0) as file:
        for _ in range(300):
            file.write(b"x" * 300)
            began = time.monotonic()
            os.fdatasync(file.fileno())
            took.append((time.monotonic() - began) * 1e3)
    p50, p99, most = quantiles(took)
    bench.note("fsync of 300 octets", "this disk", p50_ms=p50, p99_ms=p99, max_ms=most)


# ---- figures of Backroom alone


def start_up(bench, binary, hil):
    """Five starts on one database: the first makes it."""
    folder, ready, up = bench.folder(), [], []
    for _ in range(6):
        modem = Modem(hil, folder)
        box = Backroom(binary, folder, modem.link)
        box.wait_up()
        ready.append(box.seen["ready"] * 1e3)
        up.append(box.seen["line up"] * 1e3)
        box.stop()
        modem.stop()
    bench.note("start", "backroom", first_ready_ms=ready[0], ready_ms=statistics.median(ready[1:]),
               line_up_ms=statistics.median(up[1:]))


def idle(bench, binary, hil):
    folder = bench.folder()
    modem, dealer = Modem(hil, folder), Dealer(hil)
    box = Backroom(binary, folder, modem.link, dealer.url)
    box.wait_up()
    before, began = box.use.cpu(), time.monotonic()
    time.sleep(bench.arguments.idle)
    used = (box.use.cpu() - before) / (time.monotonic() - began) * 100
    bench.note("idle", "backroom", after_s=bench.arguments.idle, cpu_percent=used, **box.use.memory(),
               binary_kb=Path(binary).stat().st_size // 1024)
    box.stop()
    dealer.stop()
    modem.stop()


CMTI = re.compile(r"^\r?\n?\+CMTI: \"(\w+)\",(\d+)")


def latency_of_log(path):
    """Milliseconds from +CMTI of a slot to AT+CMGD of it, of every text in the modem's log."""
    named, taken = {}, []
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        text = entry.get("bytes", "")
        if entry["dir"] == "tx":
            for index in re.findall(r"\+CMTI: \"ME\",(\d+)", text):
                named[index] = entry["t_ms"]
        elif entry["dir"] == "rx":
            for index in re.findall(r"AT\+CMGD=(\d+)", text):
                if index in named:
                    taken.append(entry["t_ms"] - named.pop(index))
    return taken


def visible_of(path, seen):
    """Milliseconds from +CMTI of a text to the first moment at which another connection read its row."""
    arrived, delivered, told = {}, {}, {}
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if entry.get("event") == "arrived":
            arrived[entry["id"]] = entry["text"]
        elif entry.get("event") == "delivered" and "index" in entry:
            delivered[str(entry["index"])] = arrived.get(entry["id"])
        elif entry["dir"] == "tx":
            for index in re.findall(r"\+CMTI: \"ME\",(\d+)", entry.get("bytes", "")):
                told[delivered.get(index)] = entry["t_ms"]
    return [at - told[body] for body, at in seen.items() if body in told]


def latency(bench, binary, hil, name, texts, rate):
    """Texts at random moments, `rate` a second, into a box that does nothing else; several runs."""
    bounds, commits = [], []
    for run in range(bench.arguments.runs):
        folder = bench.folder()
        modem = Modem(hil, folder, log=True)
        box = Backroom(binary, folder, modem.link)
        box.wait_up()
        # What runs for the first time is not a text's usual way: caches, statements, the database's first pages.
        for n in range(10):
            modem.deliver("WARMUP", f"warm {n}")
        gone(modem, 10)
        wanted = {b for _, b in texts}
        seen, stop = {}, threading.Event()

        def watch(box=box, wanted=wanted, seen=seen, stop=stop):
            # A row is visible to others only when its commit is on disk (WAL, synchronous=FULL).
            db, last = programs.database(box.data), 0
            while not stop.is_set():
                rows = db.execute("SELECT rowid, body FROM message WHERE rowid > ? AND direction = 'in'", (last,))
                for rowid, body in rows.fetchall():
                    last = max(last, rowid)
                    if body in wanted:
                        seen[body] = time.time() * 1e3
                time.sleep(0.0003)
            db.close()

        watcher = threading.Thread(target=watch)
        watcher.start()
        pick = random.Random(run)
        for sender, body in texts:
            modem.deliver(sender, body)
            time.sleep(pick.uniform(0.2, 1.8) / rate)
        gone(modem, len(texts) + 10)
        time.sleep(0.3)
        stop.set()
        watcher.join()
        box.stop()
        modem.stop()
        bound, commit = latency_of_log(modem.log), visible_of(modem.log, seen)
        if len(commit) != len(texts) or len(bound) < len(texts):
            raise RuntimeError(f"{len(commit)} and {len(bound)} of {len(texts)} texts were timed")
        bounds.append(quantiles(bound))
        commits.append(quantiles(commit))
    for what, runs in [("committed row", commits), ("AT+CMGD", bounds)]:
        p50, p99, most = (statistics.median(c) for c in zip(*runs))
        bench.note(f"+CMTI to {what}: {name}", "backroom", p50_ms=p50, p99_ms=p99, max_ms=most, runs=len(runs),
                   texts=len(texts), worst_p99_ms=max(r[1] for r in runs))


def quantiles(values):
    values = sorted(values)
    at = lambda q: values[min(len(values) - 1, int(len(values) * q))]
    return at(0.5), at(0.99), values[-1]


def paced_in(bench, binary, hil, rate, seconds):
    folder = bench.folder()
    modem = Modem(hil, folder)
    box = Backroom(binary, folder, modem.link)
    box.wait_up()
    texts = texts_in(rate * seconds, "p")
    before, began, behind = box.use.cpu(), time.monotonic(), 0
    for at in range(0, len(texts), rate // 10):
        modem.control.ask_all({"cmd": "deliver", "from": f, "text": t} for f, t in texts[at : at + rate // 10])
        behind = max(behind, at + rate // 10 - modem.counters()["deleted"])
        time.sleep(max(0, began + (at / rate) + 0.1 - time.monotonic()))
    offered = time.monotonic() - began
    took = gone(modem, len(texts)) - began
    cpu = spent(before, box.use, len(texts))
    time.sleep(0.3)
    missing, double = lost([b for _, b in texts], box.bodies_in())
    bench.note(f"in at {rate}/s for {seconds} s", "backroom", per_s=len(texts) / took, offered_per_s=len(texts) / offered,
               cpu_ms=cpu, most_behind=behind, lost=missing, double=double, **box.use.memory())
    time.sleep(bench.arguments.idle)
    bench.note("idle after that", "backroom", after_s=bench.arguments.idle, **box.use.memory())
    box.stop()
    modem.stop()


def answering(bench, binary, hil, count):
    """Unknown people text all at once, the dealer is asked about each, and each is answered by a flow."""
    folder = bench.folder()
    modem, dealer = Modem(hil, folder), Dealer(hil)
    box = Backroom(binary, folder, modem.link, dealer.url)
    box.wait_up()
    modem.queue((f"+1425{5550000 + n}", f"Hello {n}") for n in range(count))
    before, began = box.use.cpu(), time.monotonic()
    modem.hold(False)
    eventually(lambda: box.query("SELECT count(*) FROM message WHERE direction = 'in'")[0][0] >= count,
               "texts in", 120, 0.05)
    took_in = time.monotonic() - began
    eventually(lambda: len(modem.submitted()) >= count, "answers", 120, 0.2)
    took = time.monotonic() - began
    cpu = spent(before, box.use, count)
    time.sleep(1)
    people = [s["to"] for s in modem.submitted()]
    missing, double = lost([f"+1425{5550000 + n}" for n in range(count)], people)
    parts = modem.counters()["submitted"]
    bench.note(f"{count} strangers at once, flows answer", "backroom", in_per_s=count / took_in,
               answers_per_s=count / took, parts_per_s=parts / took, cpu_ms=cpu, lost=missing, double=double,
               **box.use.memory())
    box.stop()
    dealer.stop()
    modem.stop()


# ---- figures of all programs


def started(bench, make, name):
    folder = bench.folder()
    modem = Modem(bench.arguments.hil, folder)
    program = make(folder, modem.link)
    program.wait_up()
    bench.note("memory before", name, **program.use.memory())
    return modem, program


def most_in(bench, make, name, count):
    """All texts wait in the network; how fast are they taken?"""
    modem, program = started(bench, make, name)
    texts = texts_in(count, "m")
    modem.queue(texts)
    before, began = program.use.cpu(), time.monotonic()
    modem.hold(False)
    took = gone(modem, count) - began
    cpu = spent(before, program.use, count)
    time.sleep(1)
    missing, double = lost([b for _, b in texts], program.bodies_in())
    bench.note("in, at most", name, texts=count, seconds=took, per_s=count / took, cpu_ms=cpu, lost=missing,
               double=double, **program.use.memory())
    program.stop()
    modem.stop()


def most_out(bench, make, name, count):
    """All texts are handed over as fast as they are taken; how fast does the modem get them?"""
    modem, program = started(bench, make, name)
    texts = texts_out(count, "o")
    before, began = program.use.cpu(), time.monotonic()
    handing = program.send(texts)
    eventually(lambda: modem.counters()["submitted"] >= count, f"{count} texts out", 900, 0.05)
    took = time.monotonic() - began
    [t.join() for t in handing]
    cpu = spent(before, program.use, count)
    time.sleep(1)
    submitted = modem.submitted()
    missing, double = lost([b for _, b in texts], [s["text"] for s in submitted])
    times = [s["t_ms"] for s in submitted]
    span = (times[-1] - times[0]) / 1e3
    bench.note("out, at most", name, texts=count, seconds=took, per_s=(count - 1) / span if span else 0.0, cpu_ms=cpu,
               lost=missing, double=double, **program.use.memory())
    program.stop()
    modem.stop()


def paced_out(bench, binary, hil, rate, seconds):
    folder = bench.folder()
    modem = Modem(hil, folder)
    box = Backroom(binary, folder, modem.link)
    box.wait_up()
    texts = texts_out(rate * seconds, "q")
    before, began, behind = box.use.cpu(), time.monotonic(), 0
    lines = box.control()
    for n, (to, body) in enumerate(texts):
        if "ok" not in lines.ask(do="send", shop="main", to=to, body=body):
            raise RuntimeError("a text was refused")
        if n % rate == rate - 1:
            behind = max(behind, n + 1 - modem.counters()["submitted"])
        time.sleep(max(0, began + (n + 1) / rate - time.monotonic()))
    eventually(lambda: modem.counters()["submitted"] >= len(texts), "texts out", 60, 0.01)
    took = time.monotonic() - began
    # Every text brings a delivery report, which is read, committed and deleted too.
    gone(modem, len(texts))
    cpu = spent(before, box.use, len(texts))
    time.sleep(0.5)
    delivered = box.query("SELECT count(*) FROM message WHERE direction = 'out' AND status = 'delivered'")[0][0]
    missing, double = lost([b for _, b in texts], [s["text"] for s in modem.submitted()])
    bench.note(f"out at {rate}/s for {seconds} s, with reports", "backroom", per_s=len(texts) / took, cpu_ms=cpu,
               most_behind=behind, lost=missing, double=double, reports=delivered, **box.use.memory())
    lines.close()
    box.stop()
    modem.stop()


def floor_in(bench, how, count):
    folder = bench.folder()
    modem = Modem(bench.arguments.hil, folder)
    floor = Floor(bench.arguments.floor, folder, modem.link, "in", count, how)
    texts = texts_in(count, "f")
    modem.queue(texts)
    before, began = floor.use.cpu(), time.monotonic()
    modem.hold(False)
    took = gone(modem, count) - began
    bench.note("in, at most", f"floor, an fsync a {how}", texts=count, seconds=took, per_s=count / took,
               cpu_ms=spent(before, floor.use, count), lost=count - len(set(floor.file.read_text().split())),
               **floor.use.memory())
    floor.stop()
    modem.stop()


def floor_out(bench, count):
    folder = bench.folder()
    modem = Modem(bench.arguments.hil, folder)
    wanted = json.dumps({"number": CUSTOMER, "text": f"{OUT_LENGTH}1"})
    answer = subprocess.run([bench.arguments.backroom, "pdu", "encode"], input=wanted + "\n", capture_output=True,
                            text=True, check=True)
    pdu = json.loads(answer.stdout)
    pdu = pdu.get("pdus", [pdu])[0]
    floor = Floor(bench.arguments.floor, folder, modem.link, "out", count, "text", pdu["pdu"], pdu["length"])
    before, began = floor.use.cpu(), time.monotonic()
    floor.go()
    eventually(lambda: modem.counters()["submitted"] >= count, "texts out", 120, 0.05)
    took = time.monotonic() - began
    bench.note("out, at most", "floor, two fsyncs a text", texts=count, seconds=took, per_s=count / took,
               cpu_ms=spent(before, floor.use, count), lost=count - len(modem.submitted()), **floor.use.memory())
    floor.stop()
    modem.stop()


def side_by_side(bench):
    a = bench.arguments
    quiet = lambda folder, link: Backroom(a.backroom, folder, link, reports=False)
    floor_in(bench, "text", a.texts)
    floor_in(bench, "batch", a.texts)
    most_in(bench, quiet, "backroom", a.texts)
    most_in(bench, GammuSmsd, "gammu-smsd", a.texts // 5)
    most_in(bench, Smstools, "smstools smsd", a.peer_texts)
    floor_out(bench, a.texts // 2)
    most_out(bench, quiet, "backroom", a.texts // 2)
    most_out(bench, GammuSmsd, "gammu-smsd", a.peer_texts)
    most_out(bench, Smstools, "smstools smsd", a.peer_texts)


def machine():
    """Processors, load, commit and versions: what figures mean nothing without."""
    git = lambda *c: subprocess.run(["git", *c], capture_output=True, text=True, check=False).stdout.strip()
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    return {
        "what": "machine", "cpu": model.group(1) if model else os.uname().machine, "nproc": os.cpu_count(),
        "loadavg": os.getloadavg(), "kernel": os.uname().release, "commit": git("rev-parse", "--short", "HEAD"),
        "dirty": bool(git("status", "--porcelain", "--untracked-files=no")),
        "gammu-smsd": version("gammu-smsd"), "smstools": version("smstools"),
    }


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench sms", description=__doc__)
    parser.add_argument("--backroom", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--hil", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--floor", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", metavar="FILE", help="also write every figure as a JSON line")
    parser.add_argument("--only", default="", help="parts to measure: start idle latency in out flows peers")
    parser.add_argument("--runs", type=int, default=5, help="runs of which latency is the median")
    parser.add_argument("--seconds", type=int, default=12, help="length of the paced runs")
    parser.add_argument("--idle", type=int, default=30, help="seconds before idle memory is read")
    parser.add_argument("--texts", type=int, default=5000, help="texts of the fastest runs")
    parser.add_argument("--peer-texts", type=int, default=40, help="texts of peers that sleep")
    a = parser.parse_args()
    bench = Bench(a)
    first = machine()
    parts = {
        "start": lambda: start_up(bench, a.backroom, a.hil),
        "idle": lambda: idle(bench, a.backroom, a.hil),
        "latency": lambda: (
            latency(bench, a.backroom, a.hil, "stored, 20/s", texts_in(200, "l"), 20),
            latency(bench, a.backroom, a.hil, "stored, 100/s", texts_in(500, "k"), 100),
            latency(bench, a.backroom, a.hil, "answered by flow, 10/s",
                    [(f"+1425{5550000 + n}", f"Hello {n}") for n in range(100)], 10),
        ),
        "in": lambda: paced_in(bench, a.backroom, a.hil, 500, a.seconds),
        "out": lambda: paced_out(bench, a.backroom, a.hil, 50, a.seconds),
        "flows": lambda: answering(bench, a.backroom, a.hil, a.texts // 5),
        "peers": lambda: side_by_side(bench),
    }
    failed = []
    for name, part in parts.items():
        if a.only and name not in a.only.split():
            continue
        print(f"{name} (load {os.getloadavg()[0]:.1f})", file=sys.stderr)
        try:
            disk(bench)
            part()
        except Exception as problem:  # the other figures are still wanted
            print(f"  {name}: {type(problem).__name__}: {problem}", file=sys.stderr)
            failed.append(name)
    report(first, bench.rows, os.getloadavg())
    if a.json:
        with open(a.json, "a", encoding="utf-8") as file:
            for row in [first, *bench.rows]:
                file.write(json.dumps(row) + "\n")
    if failed:
        print(f"failed: {' '.join(failed)}; see {bench.root}", file=sys.stderr)
        return 1
    shutil.rmtree(bench.root)
    return 0


def report(first, rows, load):
    print(f"\n{first['cpu']}, {first['nproc']} processors, Linux {first['kernel']}, "
          f"load {first['loadavg'][0]:.1f} to {load[0]:.1f}")
    print(f"commit {first['commit']}{' with changes' if first['dirty'] else ''}, "
          f"gammu-smsd {first['gammu-smsd']}, smstools {first['smstools']}\n")
    print(f"{'what':<50}{'program':<26}{'figure':<62}{'load':>5}")
    for row in rows:
        if row["what"] == "memory before":
            continue
        print(f"{row['what']:<50}{row['program']:<26}{figure(row):<62}{row['loadavg']:>5.1f}")
    print("\nThe peers store texts as files, sync nothing to disk and run no flows; Backroom and the floor sync. What the"
          "\npeers send (and smstools reads) a second is set by fixed pauses for the sake of slow modems: gammu-smsd"
          "\nsleeps 0.7 s a text. Compare processor time. Texts to be stored only come from alphanumeric senders.")


def figure(row):
    words = []
    for key, form in [
        ("p50_ms", "p50 {:.2f} ms"), ("p99_ms", "p99 {:.1f} ms"), ("max_ms", "most {:.1f} ms"),
        ("ready_ms", "ready {:.0f} ms"), ("line_up_ms", "line up {:.0f} ms"), ("first_ready_ms", "first {:.0f} ms"),
        ("per_s", "{:.0f}/s"), ("in_per_s", "{:.0f}/s in"), ("answers_per_s", "{:.0f}/s answered"),
        ("cpu_ms", "{:.2f} ms CPU each"), ("cpu_percent", "{:.2f} % CPU"),
    ]:
        if key in row:
            words.append(form.format(row[key]))
    if "VmRSS" in row:
        words.append(f"{row['VmRSS'] / 1024:.1f} MB")
    if "binary_kb" in row:
        words.append(f"binary {row['binary_kb'] / 1024:.1f} MB")
    if row.get("lost") or row.get("double"):
        words.append(f"LOST {row['lost']} DOUBLE {row['double']}")
    return ", ".join(words)


if __name__ == "__main__":
    programs.os.environ["LC_ALL"] = "C.UTF-8"
    sys.exit(main())
