"""What `scripts/bench sms` runs and watches: the emulated modem, the simulated dealer, Backroom, its two peers and
the floor, and what each of them uses of the machine."""

import contextlib
import glob
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from pathlib import Path

CUSTOMER = "+12065550123"
PATIENCE_S = 120


def eventually(condition, what, patience=PATIENCE_S, pause=0.02):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(pause)
    raise TimeoutError(f"{what}: not within {patience} s")


class Lines:
    """A socket that takes JSON lines and answers each with one."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(path))
        self.answers = self.socket.makefile("rb")

    def ask(self, **request):
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        return json.loads(self.answers.readline())

    def ask_all(self, requests):
        """Writes all of them and reads the answers beside, in order."""
        requests = list(requests)
        data = b"".join(json.dumps(r).encode() + b"\n" for r in requests)
        writer = threading.Thread(target=self.socket.sendall, args=(data,))
        writer.start()
        answers = [json.loads(self.answers.readline()) for _ in requests]
        writer.join()
        return answers

    def close(self):
        self.answers.close()
        self.socket.close()


class Modem:
    """One `hil modem`, instant, and its control socket."""

    def __init__(self, hil, folder, log=False, reports=True):
        self.link = folder / "modem0"
        self.log = folder / "modem.log" if log else None
        command = [hil, "modem", "--link", self.link, "--control", folder / "control"]
        command += ["--log", self.log] if log else []
        command += [] if reports else ["--no-reports"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        ready = json.loads(self.process.stdout.readline() or b"{}")
        if not ready.get("ready"):
            raise RuntimeError(f"hil modem: {ready}")
        self.control = Lines(folder / "control")

    def ask(self, **request):
        answer = self.control.ask(**request)
        if not answer.get("ok"):
            raise RuntimeError(answer)
        return answer

    def deliver(self, sender, text):
        self.ask(cmd="deliver", **{"from": sender}, text=text)

    def counters(self):
        return self.ask(cmd="state")["state"]["counters"]

    def hold(self, on):
        """While held, texts wait in the network."""
        self.ask(cmd="fault", kind="storage_full", on=on)

    def queue(self, texts):
        self.hold(True)
        answers = self.control.ask_all({"cmd": "deliver", "from": f, "text": t} for f, t in texts)
        if not all(a.get("ok") for a in answers):
            raise RuntimeError("a delivery was refused")

    def submitted(self):
        return self.ask(cmd="submitted")["submitted"]

    def stop(self):
        self.control.close()
        end(self.process)


def end(process):
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    if process.poll() is None:
        process.kill()
        process.wait()


def database(data):
    """A box's database, to be read beside the box."""
    return sqlite3.connect(f"file:{data}/backroom.db?mode=ro", uri=True, timeout=30)


def query(data, sql, *values):
    with contextlib.closing(database(data)) as db:
        return db.execute(sql, values).fetchall()


class Use:
    """CPU seconds and memory of a process and its children."""

    def __init__(self, process):
        self.pid = process.pid

    def pids(self):
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for path in glob.glob(f"/proc/{pid}/task/*/children"):
                with contextlib.suppress(OSError):
                    todo += [int(p) for p in Path(path).read_text().split()]
        return found

    def cpu(self):
        """Nanoseconds on a processor of every thread, in seconds."""
        total = 0
        for pid in self.pids():
            for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
                with contextlib.suppress(OSError):
                    total += int(Path(path).read_text().split()[0])
        return total / 1e9

    def memory(self):
        """VmRSS and its parts in kB, summed over the processes."""
        total = dict.fromkeys(["VmRSS", "RssAnon", "RssFile", "VmHWM", "Threads"], 0)
        for pid in self.pids():
            with contextlib.suppress(OSError):
                for line in Path(f"/proc/{pid}/status").read_text().splitlines():
                    name, value = line.split(":", 1)
                    if name in total:
                        total[name] += int(value.split()[0])
        return total


class Backroom:
    """`backroom run` on a directory of its own."""

    name = "backroom"

    def __init__(self, binary, folder, link, dealer=None, reports=True, level="info"):
        self.data = folder / "data"
        config = folder / "backroom.toml"
        shop = '[[shop]]\nid = "main"\n'
        if dealer:
            shop += f'[shop.dealer]\nurl = "{dealer}"\n'
        config.write_text(
            f'[storage]\npath = "{self.data}"\n{shop}[shop.settings]\nshop.name = "Green Valley"\n'
            f"sms.report = {'true' if reports else 'false'}\n"
            f'[[line]]\nid = "sim1"\nport = "{link}"\n'
        )
        self.seen = {}
        self.output = open(folder / "backroom.log", "ab")
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "--config", config, "run"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, "RUST_LOG": level},
        )
        self.reader = threading.Thread(target=self.watch, daemon=True)
        self.reader.start()
        self.use = Use(self.process)

    def watch(self):
        for line in self.process.stderr:
            at = time.monotonic() - self.began
            self.output.write(line)
            for word in [b"ready", b"line up"]:
                if word in line:
                    self.seen.setdefault(word.decode(), at)

    def wait_up(self):
        for word in ["ready", "line up"]:
            eventually(lambda word=word: word in self.seen, f"backroom: {word}", 30, 0.001)
        # The first sweep of the modem's memories.
        time.sleep(0.5)

    def control(self):
        return Lines(self.data / "control.sock")

    def query(self, sql, *values):
        return query(self.data, sql, *values)

    def bodies_in(self):
        return [b for (b,) in self.query("SELECT body FROM message WHERE direction = 'in'")]

    def send(self, texts):
        """Hands all texts over on eight connections."""
        groups = [texts[n::8] for n in range(8)]

        def hand(group):
            lines = self.control()
            for to, body in group:
                answer = lines.ask(do="send", shop="main", to=to, body=body)
                if "ok" not in answer:
                    raise RuntimeError(answer)
            lines.close()

        threads = [threading.Thread(target=hand, args=(g,)) for g in groups]
        [t.start() for t in threads]
        return threads

    def stop(self):
        end(self.process)
        self.reader.join(5)
        self.output.close()


class GammuSmsd:
    """gammu-smsd with its file service: no database, nothing synced to disk."""

    name = "gammu-smsd"

    def __init__(self, folder, link):
        self.folder = folder
        for name in ["inbox", "outbox", "sent", "error", "draft"]:
            (folder / name).mkdir()
        config = folder / "smsdrc"
        config.write_text(
            f"[gammu]\ndevice = {link}\nconnection = at115200\n"
            f"[smsd]\nservice = files\nlogfile = {folder}/smsd.log\nphoneid = hil\n"
            "commtimeout = 1\nreceivefrequency = 0\nstatusfrequency = 0\nloopsleep = 0\n"
            "checksecurity = 0\nchecksignal = 0\ncheckbattery = 0\nchecknetwork = 0\n"
            f"inboxpath = {folder}/inbox/\noutboxpath = {folder}/outbox/\n"
            f"sentsmspath = {folder}/sent/\nerrorsmspath = {folder}/error/\n"
            "inboxformat = unicode\ntransmitformat = auto\n"
        )
        self.process = subprocess.Popen(
            ["gammu-smsd", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.use = Use(self.process)

    def wait_up(self):
        time.sleep(5)

    def bodies_in(self):
        return [read(p) for p in (self.folder / "inbox").iterdir()]

    def send(self, texts):
        drafts = []
        for n, (to, body) in enumerate(texts):
            draft = self.folder / "draft" / f"OUTC20260101_000000_{n:05}_{to}_sms0.txt"
            draft.write_text(body)
            drafts.append(draft)
        [p.rename(self.folder / "outbox" / p.name) for p in drafts]
        return []

    def stop(self):
        end(self.process)


class Smstools:
    """smstools' smsd, one modem, files: nothing synced to disk."""

    name = "smstools smsd"

    def __init__(self, folder, link):
        self.folder = folder
        for name in ["incoming", "outgoing", "checked", "sent", "failed", "draft"]:
            (folder / name).mkdir()
        config = folder / "smsd.conf"
        config.write_text(
            f"devices = GSM1\nlogfile = {folder}/smsd.log\nloglevel = 4\n"
            f"incoming = {folder}/incoming\noutgoing = {folder}/outgoing\nchecked = {folder}/checked\n"
            f"sent = {folder}/sent\nfailed = {folder}/failed\nreceive_before_send = no\nautosplit = 3\n"
            f"infofile = {folder}/smsd.running\npidfile = {folder}/smsd.pid\ndelaytime = 1\n"
            "decode_unicode_text = yes\nincoming_utf8 = yes\n"
            f"[GSM1]\ndevice = {link}\nincoming = yes\nbaudrate = 115200\nkeep_open = yes\n"
            "check_memory_method = 2\nprimary_memory = ME\nsecondary_memory = ME\n"
        )
        self.process = subprocess.Popen(
            ["smsd", "-t", f"-c{config}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.use = Use(self.process)

    def wait_up(self):
        time.sleep(5)

    def bodies_in(self):
        return [p.read_bytes().split(b"\n\n", 1)[-1].decode() for p in (self.folder / "incoming").iterdir()]

    def send(self, texts):
        drafts = []
        for n, (to, body) in enumerate(texts):
            draft = self.folder / "draft" / f"text{n:05}"
            draft.write_text(f"To: {to.lstrip('+')}\n\n{body}")
            drafts.append(draft)
        [p.rename(self.folder / "outgoing" / p.name) for p in drafts]
        return []

    def stop(self):
        end(self.process)


class Floor:
    """The least that can be done (floor.c)."""

    def __init__(self, binary, folder, link, *arguments):
        way, count, *rest = map(str, arguments)
        self.process = subprocess.Popen(
            [binary, link, way, count, folder / f"floor-{way}", *rest],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.file = folder / f"floor-{way}"
        self.use = Use(self.process)
        if not json.loads(self.process.stdout.readline() or b"{}").get("ready"):
            raise RuntimeError("the floor did not start")

    def go(self):
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()

    def stop(self):
        end(self.process)


class Dealer:
    """`hil dealer` on ports of its own."""

    def __init__(self, hil):
        self.process = subprocess.Popen(
            [hil, "dealer", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"], stdout=subprocess.PIPE
        )
        self.url = json.loads(self.process.stdout.readline())["url"]

    def stop(self):
        end(self.process)


def read(path):
    data = path.read_bytes()
    if data[:2] in (b"\xfe\xff", b"\xff\xfe"):
        return data.decode("utf-16")
    return data.decode("utf-16-be") if data[:1] == b"\0" else data.decode("utf-8", "replace")


def version(package):
    found = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or shutil.which(package) or "?"
