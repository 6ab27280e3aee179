"""Runs each peer against its own `hil modem` and prints what it managed: a text out, a long text out (joined
by the emulated network), a text in, a Unicode text in. Exits 1 if anything is missing."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHORT = "Order {42} from Joe's [shop] costs 5"
LONG = "A long text that needs more than one message. " * 5 + "The end."
IN = "MENU please ~ @ home"
# No surrogates: smstools 3.1.21 cuts a text off at the first one, so that would prove nothing about the modem.
UNICODE_IN = "Grüße aus Żywiec, Žižkov"
CUSTOMER = "+12065550123"
WAIT_S = 60


class Modem:
    """One `hil modem` process and its control socket."""

    def __init__(self, hil, folder):
        self.link = folder / "modem0"
        self.process = subprocess.Popen(
            [hil, "modem", "--link", self.link, "--control", folder / "control", "--log", folder / "log"],
            stdout=subprocess.PIPE,
        )
        ready = json.loads(self.process.stdout.readline() or b"{}")
        if not ready.get("ready"):
            raise RuntimeError(f"hil modem: {ready}")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(folder / "control"))
        self.lines = self.socket.makefile("r")

    def ask(self, **request):
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(self.lines.readline())
        if not answer.get("ok"):
            raise RuntimeError(answer)
        return answer

    def deliver(self, text):
        self.ask(cmd="deliver", **{"from": CUSTOMER}, text=text)

    def was_sent(self, text, count):
        """True if the `count`th text that left is `text` for the customer."""
        texts = self.ask(cmd="wait_submitted", count=count, timeout_ms=WAIT_S * 1000)["submitted"]
        if len(texts) < count:
            return False
        last = texts[count - 1]
        if (last["to"].lstrip("+"), last["text"]) != (CUSTOMER.lstrip("+"), text):
            print(f"  sent: {last}", file=sys.stderr)
            return False
        return True

    def stop(self):
        self.process.terminate()
        self.process.wait()


def until(condition):
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        found = condition()
        if found:
            return True
        time.sleep(0.1)
    return False


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S, check=False)
    return result.stdout + result.stderr


def package_version(name):
    return run("dpkg-query", "-W", "-f", "${Version}", name).strip()


def file_with(folder, text, encoding="utf-8"):
    wanted = text.encode(encoding)
    return any(wanted in path.read_bytes() for path in folder.iterdir() if path.is_file())


def gammu(modem, folder):
    config = folder / "gammurc"
    config.write_text(f"[gammu]\ndevice = {modem.link}\nconnection = at115200\n")
    out = []
    for number, text in enumerate([SHORT, LONG], 1):
        run("gammu", "-c", config, "sendsms", "TEXT", CUSTOMER, "-len", "400", "-text", text)
        out.append(modem.was_sent(text, number))
    modem.deliver(IN)
    modem.deliver(UNICODE_IN)
    seen = run("gammu", "-c", config, "getallsms")
    return [*out, IN in seen, UNICODE_IN in seen]


def gammu_smsd(modem, folder):
    for name in ["inbox", "outbox", "sent", "error"]:
        (folder / name).mkdir()
    config = folder / "smsdrc"
    config.write_text(
        f"[gammu]\ndevice = {modem.link}\nconnection = at115200\n"
        f"[smsd]\nservice = files\nlogfile = {folder}/smsd.log\nphoneid = hil\nCommTimeout = 1\n"
        f"inboxpath = {folder}/inbox/\noutboxpath = {folder}/outbox/\n"
        f"sentsmspath = {folder}/sent/\nerrorsmspath = {folder}/error/\n"
        "inboxformat = unicode\ntransmitformat = auto\n"
    )
    daemon = subprocess.Popen(
        ["gammu-smsd", "-c", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        out = []
        for number, text in enumerate([SHORT, LONG], 1):
            run("gammu-smsd-inject", "-c", config, "TEXT", CUSTOMER, "-len", "400", "-text", text)
            out.append(modem.was_sent(text, number))
        modem.deliver(IN)
        modem.deliver(UNICODE_IN)
        inbox = folder / "inbox"
        return [
            *out,
            until(lambda: file_with(inbox, IN, "utf-16-be") or file_with(inbox, IN)),
            until(lambda: file_with(inbox, UNICODE_IN, "utf-16-be") or file_with(inbox, UNICODE_IN)),
        ]
    finally:
        daemon.terminate()
        daemon.wait()


def smsd(modem, folder):
    for name in ["incoming", "outgoing", "checked", "sent", "failed"]:
        (folder / name).mkdir()
    config = folder / "smsd.conf"
    config.write_text(
        f"devices = GSM1\nlogfile = {folder}/smsd.log\nloglevel = 7\n"
        f"incoming = {folder}/incoming\noutgoing = {folder}/outgoing\nchecked = {folder}/checked\n"
        f"sent = {folder}/sent\nfailed = {folder}/failed\nreceive_before_send = no\nautosplit = 3\n"
        f"infofile = {folder}/smsd.running\npidfile = {folder}/smsd.pid\ndelaytime = 1\n"
        f"decode_unicode_text = yes\nincoming_utf8 = yes\n"
        f"[GSM1]\ndevice = {modem.link}\nincoming = yes\nbaudrate = 115200\n"
    )
    daemon = subprocess.Popen(
        ["smsd", "-t", f"-c{config}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        out = []
        for number, text in enumerate([SHORT, LONG], 1):
            # Written elsewhere and moved: smsd takes a file as soon as it sees it.
            draft = folder / f"draft{number}"
            draft.write_text(f"To: {CUSTOMER.lstrip('+')}\n\n{text}")
            shutil.move(draft, folder / "outgoing" / f"text{number}")
            out.append(modem.was_sent(text, number))
        modem.deliver(IN)
        modem.deliver(UNICODE_IN)
        incoming = folder / "incoming"
        return [
            *out,
            until(lambda: file_with(incoming, IN)),
            until(lambda: file_with(incoming, UNICODE_IN)),
        ]
    finally:
        daemon.terminate()
        daemon.wait()


def python_gsmmodem(modem, _folder):
    from gsmmodem.modem import GsmModem

    received = []
    peer = GsmModem(str(modem.link), 115200, smsReceivedCallbackFunc=lambda sms: received.append(sms.text))
    peer.smsTextMode = False
    peer.connect()
    try:
        # One thing at a time: this peer handles each indication in a thread of its own and mixes their commands
        # with its own, and of two indications that come together it drops the second.
        modem.ask(cmd="fault", kind="reports", reports="after", ms=500)
        reported = peer.sendSms(CUSTOMER, SHORT, waitForDeliveryReport=True).report is not None
        out = [modem.was_sent(SHORT, 1) and reported]
        modem.ask(cmd="fault", kind="reports", reports="never")
        peer.sendSms(CUSTOMER, LONG)
        out.append(modem.was_sent(LONG, 2))
        for text in [IN, UNICODE_IN]:
            modem.deliver(text)
            out.append(until(lambda text=text: text in received))
        return out
    finally:
        peer.close()


def python_version():
    from importlib.metadata import version

    return version("python-gsmmodem-new")


PEERS = [
    ("gammu", lambda: package_version("gammu"), gammu),
    ("gammu-smsd", lambda: package_version("gammu-smsd"), gammu_smsd),
    ("smsd (smstools)", lambda: package_version("smstools"), smsd),
    ("python-gsmmodem-new", python_version, python_gsmmodem),
]


def main():
    hil = sys.argv[1]
    os.environ["LC_ALL"] = "C.UTF-8"
    rows = []
    for name, version, prove in PEERS:
        folder = Path(tempfile.mkdtemp(prefix="hil-modem-"))
        modem = Modem(hil, folder)
        started = time.monotonic()
        try:
            results = prove(modem, folder)
        except Exception as problem:  # the table says which peer failed, the others still run
            print(f"  {name}: {type(problem).__name__}: {problem}", file=sys.stderr)
            results = [False] * 4
        finally:
            modem.stop()
        rows.append((name, version(), results, time.monotonic() - started))
        if all(results):
            shutil.rmtree(folder)
        else:
            print(f"  {name}: see {folder}", file=sys.stderr)
    print(f"{'peer':<22}{'version':<16}{'text out':<10}{'long out':<10}{'text in':<10}{'unicode in':<12}{'s':>5}")
    for name, version, results, seconds in rows:
        marks = [("yes" if ok else "NO") for ok in results]
        print(f"{name:<22}{version:<16}{marks[0]:<10}{marks[1]:<10}{marks[2]:<10}{marks[3]:<12}{seconds:>5.1f}")
    return 0 if all(all(results) for _, _, results, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
