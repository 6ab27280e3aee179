"""A box that takes calls, and what is run beside it: for `scripts/bench calls` and `scripts/prove calls`.

Every number here is one that the numbering plan keeps for examples; no emergency number is ever dialled."""

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "bench.d" / "lib"))

from programs import Use, end, eventually, query  # noqa: E402

SCENARIOS = ROOT / "hil" / "sipp"
NUMBER = "+12065550100"
PASSWORD = "k7Qz-mm2W-9xTb-vR4n"
# The box and a trunk that it trusts. Phones are on 127.0.0.1, which no rate limit is for.
BOX, TRUNK, PHONE = "127.61.0.1", "127.61.0.2", "127.0.0.1"
PHONE_PORT = 56072


# A plan has a rule for every call.
NOBODY = {"open": "nobody", "closed": "nobody"}


def password(phone):
    """Of the phone with this number."""
    return f"{PASSWORD}-{phone:04}"


def realtime(command):
    """With a real-time priority where that is allowed: then only telephony is measured, not who else runs."""
    return ["chrt", "-r", "10", *command] if os.geteuid() == 0 else list(command)


class Box:
    """`backroom run` with one trunk that calls `NUMBER`, which rings one phone."""

    name = "backroom"

    def __init__(self, binary, folder, phones=1, lines="", plan=None, settings="", priority=True, level="warn",
                 backups=True):
        self.binary, self.folder, self.data = binary, Path(folder), Path(folder) / "data"
        self.config = self.folder / "backroom.toml"
        self.priority, self.level = priority, level
        self.phones = [f"phone{n:04}" for n in range(phones)]
        text = (
            f'[storage]\npath = "{self.data}"\n{"" if backups else "backup_every = 0"}\n[sip]\nudp = ["{BOX}:5060"]\ntcp = ["{BOX}:5060"]\ncalls = 5000\n'
            '[media]\nports = "10000-59999"\n[[shop]]\nid = "main"\n[shop.settings]\nshop.name = "Green Valley"\n'
            f'calls.location = "1 Main St"\ncalls.plan = {json.dumps(json.dumps(plan or self.plan()))}\n{settings}\n'
            f'[[line]]\nid = "a"\nkind = "sip"\ndomain = "{TRUNK}"\nproxy = "{TRUNK}:5060"\ntransport = "udp"\n'
            f'networks = ["{TRUNK}/32"]\nchannels = 1000\noptions_every = 0\nnat = false\n{lines}\n'
        )
        for n, phone in enumerate(self.phones):
            text += f'[[phone]]\nid = "{phone}"\nextension = "{4000 + n}"\n'
            secret = self.folder / f"{phone}.password"
            secret.write_text(password(n))
            text += f'password_file = "{secret}"\n'
        self.config.write_text(text)

    @staticmethod
    def plan():
        ring = {"extension": "4000"}
        return {"inbound": [{"number": NUMBER, "open": ring, "closed": ring}, NOBODY]}

    def start(self):
        """Starts it; milliseconds from exec to the first answered OPTIONS."""
        command = [self.binary, "--config", self.config, "run"]
        self.log = open(self.folder / "backroom.log", "ab")
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        probe.bind((TRUNK, 0))
        began = time.monotonic()
        self.process = subprocess.Popen(
            realtime(command) if self.priority else command, stdout=self.log, stderr=self.log,
            env={**os.environ, "RUST_LOG": self.level},
        )
        # Also when something here goes wrong.
        atexit.register(end, self.process)
        self.use = Use(self.process)
        took = answered(probe, BOX, began)
        probe.close()
        return took * 1e3

    def query(self, sql, *values):
        return query(self.data, sql, *values)

    def records(self):
        """How many calls ended with each cause."""
        return dict(self.query("SELECT coalesce(cause, 'open'), count(*) FROM call GROUP BY 1"))

    def users(self, first=0):
        """The phones from `first` on, as SIPp reads them."""
        path = self.folder / f"users-{first}.csv"
        lines = (f"{phone};[authentication username={phone} password={password(first + n)}];\n"
                 for n, phone in enumerate(self.phones[first:]))
        path.write_text("SEQUENTIAL\n" + "".join(lines))
        return path

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def rss_mb(self):
        return self.use.memory()["VmRSS"] / 1024

    def register(self, folder, phone=0, host=PHONE, port=PHONE_PORT):
        """A phone of that address registers, so that who takes calls there needs no digest of its own."""
        done = subprocess.run(
            ["sipp", f"{BOX}:5060", "-sf", SCENARIOS / "register.xml", "-i", host, "-p", str(port), "-t", "u1",
             "-m", "1", "-key", "way", "UDP", "-key", "box", BOX, "-key", "phone", self.phones[phone],
             "-au", self.phones[phone], "-ap", password(phone), "-key", "contact_port", str(port), "-ci", "127.61.0.9", "-nostdin",
             "-timeout", "10", "-timeout_error", "-trace_err", "-error_file", Path(folder) / "register.err"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder, check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the phone could not register: see {folder}/register.err")

    def stop(self):
        end(self.process)
        self.log.close()


def answered(probe, host, began, patience=30):
    """Seconds from `began` until OPTIONS was answered first, asked every millisecond."""
    at, port = probe.getsockname()
    probe.settimeout(0.001)
    n = 0
    while time.monotonic() - began < patience:
        n += 1
        ask = (
            f"OPTIONS sip:{host} SIP/2.0\r\nVia: SIP/2.0/UDP {at}:{port};branch=z9hG4bK-p{n}\r\n"
            f"From: <sip:p@{at}>;tag=p{n}\r\nTo: <sip:{host}>\r\nCall-ID: p{n}\r\nCSeq: 1 OPTIONS\r\n"
            "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
        with contextlib.suppress(OSError):
            probe.sendto(ask.encode(), (host, 5060))
            probe.recv(2048)
            return time.monotonic() - began
    raise TimeoutError(f"{host} answers no OPTIONS")


class Sipp:
    """One SIPp with one of our scenarios."""

    count = 0

    def __init__(self, folder, scenario, own, port, calls, far=None, rate=None, service=NUMBER, box=BOX, hold_ms=0,
                 way="UDP", extra=()):
        Sipp.count += 1
        self.base = Path(folder) / f"{scenario}-{Sipp.count}"
        self.calls = calls
        command = ["sipp", *([far] if far else []), "-sf", SCENARIOS / f"{scenario}.xml", "-i", own, "-p", str(port),
                   "-t", "u1" if way == "UDP" else "t1", "-m", str(calls), "-s", service, "-key", "way", way,
                   "-key", "box", box, "-d", str(hold_ms), "-buff_size", "1048576", "-ci", f"127.61.1.{Sipp.count % 250 + 1}", "-nostdin",
                   "-trace_stat", "-stf", f"{self.base}.csv", "-fd", "1", "-trace_err", "-error_file",
                   f"{self.base}.err", "-mi", own, *map(str, extra)]
        if rate:
            # Calls that are spread evenly over each second, and as many at once as it takes.
            command += ["-r", str(rate), "-l", "10000"]
        self.process = subprocess.Popen(realtime(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        cwd=folder)
        atexit.register(end, self.process)

    def wait(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
            raise TimeoutError(f"{self.base.name}: not over after {seconds} s; see {self.base}.err") from None

    def figures(self):
        """Calls that went well and that failed, and retransmissions, as SIPp counts them."""
        lines = Path(f"{self.base}.csv").read_text().splitlines()
        last = dict(zip(lines[0].split(";"), lines[-1].split(";")))
        return {
            "good": int(last["SuccessfulCall(C)"]), "failed": int(last["FailedCall(C)"]),
            "again": int(last["Retransmissions(C)"]),
        }

    def stop(self):
        end(self.process)


def listening(host, port, tcp=False):
    """Waits until somebody listens there."""
    packed = int.from_bytes(socket.inet_aton(host), sys.byteorder)
    wanted = f" {packed:08X}:{port:04X} "
    table = Path("/proc/net/tcp" if tcp else "/proc/net/udp")
    eventually(lambda: wanted in table.read_text(), f"somebody at {host}:{port}", 10, 0.01)
