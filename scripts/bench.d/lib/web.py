"""Posts signed webhooks to a running Backroom at a steady rate and times the answers, which come when the text is
durable; beside it, what the same disk takes for a bare fdatasync, and what an HTTP server does that keeps each body by
fdatasync and knows nothing else. See --help."""

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import multiprocessing
import os
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

from programs import Use, end, eventually, query

TOKEN = "simulated-auth-token"
ACCOUNT = "AC00000000000000000000000000000001"
NUMBER = "+12065550199"
PATH = "/twilio/twilio/message"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Upstream:
    """`hil twilio`: what the box polls, and where its replies go."""

    def __init__(self, hil):
        command = [hil, "twilio", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.url = json.loads(self.process.stdout.readline())["url"]

    def stop(self):
        end(self.process)


class Box:
    """`backroom run` with one line, which is at the upstream, and its webhooks."""

    def __init__(self, binary, folder, upstream):
        self.binary, self.port, self.data = binary, free_port(), folder / "data"
        self.url = f"http://127.0.0.1:{self.port}"
        token = folder / "token"
        token.write_text(TOKEN)
        self.config = folder / "backroom.toml"
        self.config.write_text(
            f'[storage]\npath = "{self.data}"\n[[shop]]\nid = "main"\n[shop.settings]\nshop.name = "Green Valley"\n'
            f'[[line]]\nid = "twilio"\nkind = "twilio"\naccount = "{ACCOUNT}"\nauth_token_file = "{token}"\n'
            f'number = "{NUMBER}"\napi_url = "{upstream.url}"\nstudio_url = "{upstream.url}"\n'
            f'public_url = "{self.url}"\n[web]\nlisten = "127.0.0.1:{self.port}"\n'
        )
        self.log = open(folder / "backroom.log", "wb")
        self.process = subprocess.Popen(
            [binary, "--config", self.config, "run"], stdout=self.log, stderr=self.log
        )
        self.use = Use(self.process)
        eventually(self.listens, "backroom listens", 30, 0.05)

    def listens(self):
        if self.process.poll() is not None:
            raise RuntimeError(f"backroom ended: {Path(self.log.name).read_text()}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def status(self):
        told = subprocess.run(
            [self.binary, "--config", self.config, "status"], capture_output=True, check=True, text=True
        )
        return json.loads(told.stdout)

    def sids(self):
        return [sid for (sid,) in query(self.data, "SELECT upstream_sid FROM message WHERE direction = 'in'")]

    def stop(self):
        end(self.process)
        self.log.close()


class Keeper:
    """The floor, in a process of its own: an HTTP server that appends each body to a file, and answers when an fdatasync has passed. One sync
    may serve several bodies, as a group commit does."""

    def __init__(self, folder):
        ours, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.Process(target=self.serve, args=(folder, theirs), daemon=True)
        self.process.start()
        self.port = ours.recv()
        self.url = f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.process.terminate()
        self.process.join()

    def serve(self, folder, told):
        self.file = open(folder / "kept", "ab", buffering=0)
        self.wanted = queue.SimpleQueue()
        threading.Thread(target=self.sync, daemon=True).start()
        keeper = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                done = threading.Event()
                keeper.wanted.put((body, done))
                done.wait()
                self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n<Response/>")

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        server = Server(("127.0.0.1", 0), Handler)
        told.send(server.server_port)
        server.serve_forever()

    def sync(self):
        while True:
            group = [self.wanted.get()]
            with contextlib.suppress(queue.Empty):
                while True:
                    group.append(self.wanted.get_nowait())
            self.file.write(b"".join(body for body, _ in group))
            os.fdatasync(self.file.fileno())
            for _, done in group:
                done.set()


def sid(run, number):
    return "SM" + hashlib.md5(f"{run}/{number}".encode()).hexdigest()


def webhook(url, run, number, sender):
    """One request, as Twilio sends it, and whether its connection is to end."""
    pairs = {
        "ToCountry": "US", "ToState": "WA", "SmsMessageSid": sid(run, number), "NumMedia": "0", "ToCity": "SEATTLE",
        "FromZip": "98101", "SmsSid": sid(run, number), "FromState": "WA", "SmsStatus": "received",
        "FromCity": "SEATTLE", "Body": f"Is my mower ready? Text number {number}", "FromCountry": "US", "To": NUMBER,
        "MessagingServiceSid": "MG00000000000000000000000000000001", "ToZip": "98101", "NumSegments": "1",
        "MessageSid": sid(run, number), "AccountSid": ACCOUNT, "From": sender, "ApiVersion": "2010-04-01",
    }
    text = url + PATH + "".join(name + pairs[name] for name in sorted(pairs))
    signature = base64.b64encode(hmac.digest(TOKEN.encode(), text.encode(), "sha1")).decode()
    body = "&".join(f"{name}={quote(value, safe='')}" for name, value in pairs.items())
    fresh = number % 2 == 1
    return (
        f"POST {PATH} HTTP/1.1\r\nHost: {url[7:]}\r\nUser-Agent: TwilioProxy/1.1\r\nAccept: */*\r\n"
        f"Connection: {'close' if fresh else 'keep-alive'}\r\n"
        f"Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        f"I-Twilio-Idempotency-Token: {number}\r\nX-Twilio-Signature: {signature}\r\n\r\n{body}"
    ).encode(), fresh


async def answered(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(l.split(b":")[1]) for l in head.lower().split(b"\r\n") if l.startswith(b"content-length"))
    await reader.readexactly(length)
    return int(head.split(b" ", 2)[1])


async def post_all(port, requests, rate):
    """Each at its time, whatever became of those before; milliseconds from that time to the whole answer."""
    loop, kept, took, codes = asyncio.get_running_loop(), [], [], {}

    async def one(at, request, fresh):
        if fresh or not kept:
            connection = await asyncio.open_connection("127.0.0.1", port)
        else:
            connection = kept.pop()
        reader, writer = connection
        writer.write(request)
        code = await answered(reader)
        took.append((loop.time() - at) * 1e3)
        codes[code] = codes.get(code, 0) + 1
        if fresh:
            writer.close()
        else:
            kept.append(connection)

    begun, tasks = loop.time() + 0.1, []
    for number, (request, fresh) in enumerate(requests):
        at = begun + number / rate
        await asyncio.sleep(max(0, at - loop.time()))
        tasks.append(asyncio.create_task(one(at, request, fresh)))
    await asyncio.gather(*tasks)
    for _, writer in kept:
        writer.close()
    return took, codes, len(kept)


def quantiles(took):
    took = sorted(took)
    at = lambda share: took[min(len(took) - 1, int(len(took) * share))]
    return {"p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": took[-1]}


def synced(folder, rate, seconds):
    """A bare append of 700 octets and its fdatasync, at the same rate."""
    took = []
    with open(folder / "synced", "ab", buffering=0) as file:
        begun = time.monotonic() + 0.1
        for number in range(int(rate * seconds)):
            at = begun + number / rate
            time.sleep(max(0, at - time.monotonic()))
            start = time.monotonic()
            file.write(b"x" * 700)
            os.fdatasync(file.fileno())
            took.append((time.monotonic() - start) * 1e3)
    return quantiles(took)


def run(arguments, number, folder):
    rows, count = [], int(arguments.rate * arguments.seconds)
    note = lambda what, **values: rows.append({"run": number, "what": what, **values})
    note("fdatasync", **synced(folder, arguments.rate, min(arguments.seconds, 10)))

    def posts(url):
        # Names as senders: stored, and nobody is answered. Numbers: each is a customer, who gets the shop's menu.
        name = (lambda n: f"+1206555{n % 2000 + 2000:04}") if arguments.customers else (lambda n: f"INFO{n % 500}")
        return [webhook(url, number, n, name(n)) for n in range(count)]

    keeper = Keeper(folder)
    took, _, _ = asyncio.run(post_all(keeper.port, posts(keeper.url), arguments.rate))
    keeper.stop()
    note("floor", **quantiles(took))

    upstream = Upstream(arguments.hil)
    box = Box(arguments.backroom, folder, upstream)
    requests = posts(box.url)
    used = box.use.cpu()
    took, codes, kept = asyncio.run(post_all(box.port, requests, arguments.rate))
    used = (box.use.cpu() - used) / count * 1e3
    sids, web = box.sids(), box.status()["edges"]["web"]
    note("backroom", **quantiles(took), codes=codes, kept_connections=kept, cpu_ms_each=used,
         stored=len(set(sids)), stored_twice=len(sids) - len(set(sids)), web=web,
         loadavg=os.getloadavg()[0], **box.use.memory())
    box.stop()
    upstream.stop()
    for row in rows:
        print(json.dumps(row), file=sys.stderr)
    if codes != {200: count} or sorted(sids) != sorted(sid(number, n) for n in range(count)):
        raise SystemExit("not every webhook was accepted and stored once")
    return rows


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench web", description=__doc__)
    parser.add_argument("--backroom", required=True)
    parser.add_argument("--hil", required=True)
    parser.add_argument("--folder", required=True, help="on the disk that is meant")
    parser.add_argument("--rate", type=float, default=200, help="webhooks a second")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--customers", action="store_true", help="who writes is a customer and gets an answer")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="web-", dir=arguments.folder) as root:
        for number in range(1, arguments.runs + 1):
            folder = Path(root) / str(number)
            folder.mkdir()
            rows += run(arguments, number, folder)
    print(f"{arguments.rate:g} webhooks a second for {arguments.seconds:g} s, every other one over a connection of "
          f"its own; median of {arguments.runs} runs")
    for what in ["fdatasync", "floor", "backroom"]:
        ours = [row for row in rows if row["what"] == what]
        middle = {key: statistics.median(row[key] for row in ours) for key in ["p50_ms", "p99_ms", "max_ms"]}
        print(f"  {what:10} " + "  ".join(f"{key} {value:.2f}" for key, value in middle.items()))


main()
