"""baresip (Debian) as a phone: driven over its control connection, its sound a tone and a recording."""

import contextlib
import json
import math
import queue
import socket
import struct
import subprocess
import threading
import time
import wave
from pathlib import Path

from programs import end


class Baresip:
    """One phone. Sends a tone of `tone` Hz, records what it hears, answers by itself if told so."""

    def __init__(self, folder, user, password, host, port, tone, answers=False, own="127.0.0.1"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.user, self.host = user, host
        control = port + 10
        modules = next(Path("/usr/lib").glob("**/baresip/modules"))
        (self.folder / "config").write_text(
            f"poll_method epoll\nsip_listen {own}:{port}\nsip_transports udp\nnet_interface {own}\n"
            f"audio_path {self.folder}\naudio_source aufile,{tone_file(self.folder, tone)}\naudio_player aufile,{self.folder}/play.wav\n"
            f"audio_alert aufile,{self.folder}/alert.wav\nring_aufile none\nrtp_ports {port + 2000}-{port + 2100}\n"
            f"ausrc_srate 8000\nauplay_srate 8000\nausrc_channels 1\nauplay_channels 1\n"
            f"ctrl_tcp_listen {own}:{control}\nsnd_path {self.folder}\nmodule_path {modules}\n"
            "module g711.so\nmodule aufile.so\nmodule sndfile.so\nmodule_app account.so\n"
            "module_app menu.so\nmodule_app ctrl_tcp.so\n"
        )
        (self.folder / "accounts").write_text(
            f"<sip:{user}@{host}>;auth_user={user};auth_pass={password};regint=600;audio_codecs=PCMU/8000/1"
            f"{';answermode=auto' if answers else ''}\n"
        )
        (self.folder / "contacts").write_text("")
        self.output = open(self.folder / "baresip.log", "wb")
        self.process = subprocess.Popen(["baresip", "-f", self.folder], stdin=subprocess.PIPE, stdout=self.output,
                                        stderr=self.output, cwd=self.folder)
        self.events = queue.Queue()
        self.past = []
        self.socket = connected(own, control)
        self.socket.settimeout(None)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        """Netstrings: `LENGTH:JSON,`."""
        rest = b""
        with contextlib.suppress(OSError):
            while data := self.socket.recv(65536):
                rest += data
                while (parts := rest.partition(b":"))[1]:
                    size = int(parts[0])
                    if len(parts[2]) <= size:
                        break
                    rest = parts[2][size + 1 :]
                    # What it writes is not always JSON.
                    with contextlib.suppress(ValueError):
                        self.events.put(json.loads(parts[2][:size].decode(errors="replace"), strict=False))

    def does(self, command, parameters=""):
        text = json.dumps({"command": command, "params": parameters}).encode()
        self.socket.sendall(b"%d:%s," % (len(text), text))

    def dials(self, who):
        self.does("dial", f"sip:{who}@{self.host}")

    def hears_of(self, kind, patience=10, also=None):
        """Waits for an event of this kind; events before it are passed over."""
        until = time.monotonic() + patience
        while (left := until - time.monotonic()) > 0:
            try:
                event = self.events.get(timeout=left)
            except queue.Empty:
                break
            self.past.append(event)
            if event.get("type") == kind and (also is None or also(event)):
                return event
        seen = [e.get("type", e.get("data", "")) for e in self.past][-12:]
        raise TimeoutError(f"{self.user}: no {kind} within {patience} s; there were {seen}")

    def writes(self, text, patience=10, times=1):
        """Waits until its log has this so often: what happened before anybody listened for events is told there."""
        until = time.monotonic() + patience
        while (self.folder / "baresip.log").read_text(errors="replace").count(text) < times:
            if time.monotonic() > until:
                raise TimeoutError(f"{self.user}: never wrote {text!r}")
            time.sleep(0.05)

    def recording(self):
        """What it heard in its last call."""
        found = sorted(self.folder.glob("dump-*dec*.wav")) or sorted(self.folder.glob("play*.wav"))
        if not found:
            raise RuntimeError(f"{self.user}: no recording in {self.folder}")
        return found[-1]

    def stop(self):
        self.socket.close()
        end(self.process)
        self.output.close()


def tone_file(folder, frequency, seconds=120):
    """A steady tone at a quarter of full scale."""
    path = folder / "tone.wav"
    samples = (round(8000 * math.sin(2 * math.pi * frequency * n / 8000)) for n in range(8000 * seconds))
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<h", sample) for sample in samples))
    return path


def connected(host, port, patience=10):
    until = time.monotonic() + patience
    while True:
        try:
            return socket.create_connection((host, port), 2)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
