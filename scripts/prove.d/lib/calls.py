"""Proves calls with foreign peers: see the head of `scripts/prove.d/calls`."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "lib"))

import sound  # noqa: E402
from callbox import BOX, NOBODY, NUMBER, PHONE, PHONE_PORT, TRUNK, Box, Sipp, listening, password  # noqa: E402
from programs import end, eventually  # noqa: E402

from baresip import Baresip  # noqa: E402

PROVIDER, OUTSIDE = "127.61.0.3", "127.61.0.6"
ACCOUNT = "+12065550100"
PROVIDER_PASSWORD = "Zt4-9wLq-81Xc-hhJe"
FAR_NUMBER = "+12065550177"


class Proof:
    def __init__(self, arguments):
        self.arguments = arguments
        self.root = Path(tempfile.mkdtemp(prefix="backroom-prove-calls-"))
        self.rows = []

    def folder(self, name):
        folder = self.root / name
        folder.mkdir()
        return folder

    def check(self, what, good, found=""):
        self.rows.append((what, bool(good), found))
        print(f"  {'ok    ' if good else 'FAILED'} {what} {found}", flush=True)


# ---- SIPp: the matrix is `hil sipp`'s


def with_sipp(proof):
    folder = proof.folder("sipp")
    done = subprocess.run([proof.arguments.hil, "sipp", "--backroom", proof.arguments.backroom, "--dir", folder],
                          check=False)
    proof.check("SIPp: every scenario over UDP, TCP and TLS", done.returncode == 0)


# ---- Kamailio: a provider that the box registers with


class Kamailio:
    """Started in `folder`; OUTSIDE's calls go to whoever registered, everybody else's go to OUTSIDE."""

    def __init__(self, folder):
        text = (HERE / "kamailio.cfg").read_text()
        for word, value in [("HOST", PROVIDER), ("OUTSIDE", OUTSIDE), ("PASSWORD", PROVIDER_PASSWORD)]:
            # The head of the file names these words too.
            text = "\n".join(line if line.startswith("#") else line.replace(word, value) for line in text.splitlines())
        config = folder / "kamailio.cfg"
        config.write_text(text + "\n")
        self.log = open(folder / "kamailio.log", "wb")
        self.process = subprocess.Popen(["kamailio", "-DD", "-f", config, "-Y", folder, "-w", folder, "-m", "32", "-M", "4"],
                                        stdout=self.log, stderr=self.log)
        listening(PROVIDER, 5060)

    def stop(self):
        end(self.process)
        self.log.close()


def with_kamailio(proof):
    folder = proof.folder("kamailio")
    kamailio = Kamailio(folder)
    (folder / "provider-password").write_text(PROVIDER_PASSWORD)
    line = (f'[[line]]\nid = "k"\nkind = "sip"\ndomain = "{PROVIDER}"\nproxy = "{PROVIDER}:5060"\ntransport = "udp"\n'
            f'username = "{ACCOUNT}"\npassword_file = "{folder}/provider-password"\nexpires = 60\n'
            f'number = "{ACCOUNT}"\nchannels = 20\nnat = false\nmedia_networks = ["{OUTSIDE}/32"]\n')
    ring = {"extension": "4000"}
    plan = {"inbound": [{"open": ring, "closed": ring}], "outbound": [{"prefix": "", "lines": [{"line": "k"}]}]}
    box = Box(proof.arguments.backroom, folder, lines=line, plan=plan, priority=False, level="info")
    box.start()
    box.register(folder)

    def reached():
        far = Sipp(folder, "answer", PHONE, PHONE_PORT, 1)
        listening(PHONE, PHONE_PORT)
        near = Sipp(folder, "call", OUTSIDE, 5060, 1, far=f"{PROVIDER}:5060", service=ACCOUNT, hold_ms=300, box=PROVIDER,
                    extra=["-timeout", 5])
        good = near.wait(10) == 0
        if not good:
            far.stop()
        return good and far.wait(10) == 0

    # The first may come before the box has registered.
    found = eventually(reached, "a call from outside through Kamailio", 30, 0.5)
    proof.check("Kamailio: the box registers with digest and takes a call through it", found)

    far = Sipp(folder, "answer", OUTSIDE, 5060, 3)
    listening(OUTSIDE, 5060)
    phone = Sipp(folder, "phone_call", PHONE, PHONE_PORT + 2, 3, far=f"{BOX}:5060", rate=2, service=FAR_NUMBER,
                 hold_ms=300, extra=["-timeout", 15, "-key", "phone", box.phones[0], "-au", box.phones[0], "-ap", password(0),
                        "-auth_uri", f"{FAR_NUMBER}@{BOX}"])
    proof.check("Kamailio: a phone calls out through it, which asks for digest", phone.wait(30) == 0, str(phone.figures()))
    proof.check("Kamailio: the far side heard of each call and its end", far.wait(30) == 0, str(far.figures()))

    playing = subprocess.run(
        [proof.arguments.hil, "bench", "rtp", "--calls", "10", "--seconds", "5", "--port", "34000", "call", "--peer",
         f"{PROVIDER}:5060", "--caller", f"{OUTSIDE}:5060", "--callee", f"{PHONE}:{PHONE_PORT}", "--number", ACCOUNT],
        capture_output=True, text=True, check=False)
    figures = playing.stdout.strip()
    good = playing.returncode == 0 and '"lost":0' in figures and '"crossed":0' in figures
    proof.check("Kamailio: ten calls with sound both ways, nothing lost or crossed", good, figures[:160])
    # The last hang-ups are on their way through Kamailio when the players end.
    ended = eventually(lambda: set(box.records()) == {"hangup"}, "every record to end", 5, 0.2)
    proof.check("Kamailio: every record ends with a hang-up", ended, str(box.records()))
    box.stop()
    kamailio.stop()


# ---- baresip: two phones


def with_baresip(proof):
    folder = proof.folder("baresip")
    box = Box(proof.arguments.backroom, folder, phones=2, priority=False, level="info")
    box.start()
    alice = Baresip(folder / "alice", box.phones[0], password(0), BOX, 57000, 440)
    bob = Baresip(folder / "bob", box.phones[1], password(1), BOX, 57200, 1000, answers=True)
    try:
        for phone in (alice, bob):
            phone.writes("200 OK", 15)
        proof.check("baresip: two phones register with digest", True)
        talk(proof, alice, bob)
        echo(proof, alice)
    except (TimeoutError, RuntimeError) as why:
        proof.check("baresip", False, str(why))
    finally:
        alice.stop()
        bob.stop()
    time.sleep(1)
    records = box.records()
    proof.check("baresip: both calls have a record that ends with a hang-up", records == {"hangup": 2}, str(records))
    box.stop()


def talk(proof, alice, bob):
    alice.dials("4001")
    alice.hears_of("CALL_ESTABLISHED", 15)
    bob.hears_of("CALL_ESTABLISHED", 15)
    time.sleep(3)
    alice.does("sndcode", "5")
    bob.writes("received event: '5'")
    proof.check("baresip: a key that one presses is heard by the other", True)
    time.sleep(1)
    alice.does("hold")
    time.sleep(3)
    alice.does("resume")
    time.sleep(3)
    alice.does("hangup")
    bob.writes("terminated (duration")
    time.sleep(0.5)
    for phone, other, tone, own in [(alice, "bob", 1000, 440), (bob, "alice", 440, 1000)]:
        # baresip 1.0 plays nothing after a hold of its own, also when two of them talk without a box between.
        wanted = [True] if phone is alice else [True, False, True]
        path = phone.recording()
        there = sound.spells(sound.heard(path, tone))
        shape = [spell for spell, _ in there]
        # Silence at either end of the recording is the call's beginning and end.
        while shape and not shape[0]:
            shape.pop(0)
        while shape and not shape[-1]:
            shape.pop()
        proof.check(f"baresip: {other}'s {tone} Hz are heard{', not during hold, and again' if len(wanted) > 1 else ''}", shape == wanted,
                    str(there))
        proof.check(f"baresip: and nobody hears himself ({own} Hz)", not any(sound.heard(path, own)))


def echo(proof, alice):
    before = set(alice.folder.glob("dump-*dec*.wav"))
    alice.dials("*43")
    alice.hears_of("CALL_ESTABLISHED", 15)
    time.sleep(3)
    alice.does("hangup")
    alice.writes("terminated (duration", times=2)
    time.sleep(0.5)
    new = sorted(set(alice.folder.glob("dump-*dec*.wav")) - before)
    blocks = sound.heard(new[-1], 440) if new else []
    proof.check("baresip: the echo extension says back what it hears", sum(blocks) >= 10, f"{sum(blocks)} of {len(blocks)}")


# ---- soak


def soak(proof, minutes):
    """A steady mix; every figure is read each minute."""
    folder = proof.folder("soak")
    other = "+12065550101"
    plan = {"inbound": [
        {"number": NUMBER, "open": {"extension": "4000"}, "closed": {"extension": "4000"}},
        {"number": other, "open": {"extension": "4001"}, "closed": {"extension": "4001"}},
        NOBODY,
    ]}
    box = Box(proof.arguments.backroom, folder, phones=50, plan=plan, priority=False)
    box.start()
    users = box.users(first=2)
    began, seconds = time.monotonic(), minutes * 60
    failed, samples, played, lost, calls = 0, [], 0, 0, 0
    while (left := began + seconds - time.monotonic()) > 0:
        span = int(min(60, max(left, 10)))
        # A registration ends after an hour.
        box.register(folder)
        box.register(folder, phone=1, port=PHONE_PORT + 10)
        far = Sipp(folder, "answer", PHONE, PHONE_PORT, 10 * span)
        listening(PHONE, PHONE_PORT)
        near = Sipp(folder, "call", TRUNK, 5060, 10 * span, far=f"{BOX}:5060", rate=10, hold_ms=3000)
        registers = Sipp(folder, "register_many", PHONE, PHONE_PORT + 20, 20 * span, far=f"{BOX}:5060", rate=20,
                         extra=["-inf", users])
        options = Sipp(folder, "options", TRUNK, 5070, 10 * span, far=f"{BOX}:5060", rate=10)
        talking = subprocess.Popen(
            [proof.arguments.hil, "bench", "rtp", "--calls", "20", "--seconds", str(max(span - 4, 2)), "--port", "34000",
             "call", "--peer", f"{BOX}:5060", "--caller", f"{TRUNK}:5064", "--callee", f"{PHONE}:{PHONE_PORT + 10}",
             "--number", other], stdout=subprocess.PIPE, text=True)
        for sipp in (near, far, registers, options):
            sipp.wait(span + 60)
            failed += sipp.calls - sipp.figures()["good"]
            for old in folder.glob(f"{sipp.base.name}.*"):
                old.unlink()
        said, _ = talking.communicate(timeout=60)

        figures = json.loads(said.splitlines()[-1])
        if "error" in figures:
            failed += 1
            print(f"  sound: {figures['error']}")
        played += figures.get("sent", 0)
        lost += figures.get("lost", 0)
        calls += near.calls + 20
        samples.append((time.monotonic() - began, box.rss_mb(), box.descriptors()))
        print(f"  {samples[-1][0] / 60:6.1f} min: RSS {samples[-1][1]:.1f} MB, {samples[-1][2]} descriptors, "
              f"{calls} calls, {failed} failed, {lost} of {played} packets lost, load {os.getloadavg()[0]:.2f}", flush=True)
    # RFC 3261's timers and the draining of ports.
    time.sleep(40)
    took = (time.monotonic() - began) / 60
    quarter = max(len(samples) // 4, 1)
    early = statistics.median(s[1] for s in samples[:quarter] if s)
    late = statistics.median(s[1] for s in samples[-quarter:])
    proof.check(f"soak of {took:.0f} min: {calls} calls, nothing failed", failed == 0, f"{failed} failed")
    proof.check("soak: no packet lost", lost == 0, f"{lost} of {played}")
    proof.check("soak: memory does not grow", late - early < 4, f"{early:.1f} to {late:.1f} MB")
    idle = box.descriptors()
    box.stop()
    box.start()
    proof.check("soak: no descriptor stays", idle <= box.descriptors() + 2, f"{idle}, {box.descriptors()} after a new start")
    wrong = {cause: n for cause, n in box.records().items() if cause != "hangup"}
    proof.check("soak: every record ends with a hang-up", not wrong, str(box.records()))
    box.stop()


def main():
    parser = argparse.ArgumentParser(prog="scripts/prove calls", description=__doc__)
    parser.add_argument("--backroom", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--hil", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--soak", type=float, metavar="MINUTES", help="a steady mix for so long, and nothing else")
    parser.add_argument("peers", nargs="*", metavar="sipp|kamailio|baresip", help="with whom; all when nobody is named")
    a = parser.parse_args()
    proof = Proof(a)
    parts = {"sipp": with_sipp, "kamailio": with_kamailio, "baresip": with_baresip}
    if unknown := set(a.peers) - set(parts):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    if a.soak:
        soak(proof, a.soak)
    else:
        for name in a.peers or parts:
            print(f"== {name}", flush=True)
            try:
                parts[name](proof)
            except (RuntimeError, TimeoutError, OSError) as why:
                proof.check(name, False, str(why))
    failed = [row for row in proof.rows if not row[1]]
    print(f"\n{len(proof.rows) - len(failed)} of {len(proof.rows)} held; logs in {proof.root}")
    return 1 if failed or not proof.rows else 0


if __name__ == "__main__":
    sys.exit(main())
