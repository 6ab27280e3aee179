"""The official SDK for Python against `hil twilio`: what it reads must be what the simulator means."""

import http.server
import json
import queue
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
from datetime import datetime, timedelta, timezone

from twilio.base.exceptions import TwilioRestException
from twilio.request_validator import RequestValidator
from twilio.rest import Client

ACCOUNT, TOKEN = "AC00000000000000000000000000000001", "simulated-auth-token"
OURS, THEIRS = "+12065550199", "+12065550100"


class Application(http.server.BaseHTTPRequestHandler):
    hooks = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        url = f"http://{self.headers['Host']}{self.path}"
        json_body = self.headers["Content-Type"] == "application/json"
        signature = self.headers.get("X-Twilio-Signature", "")
        good = RequestValidator(TOKEN).validate(url, body if json_body else form, signature)
        self.hooks.put((good, form))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def refused(code, call):
    try:
        call()
    except TwilioRestException as why:
        assert why.code == code, (code, why)
    else:
        raise AssertionError(f"{code} was expected")


def prove(url, control):
    def sim(path, body):
        data = json.dumps(body).encode()
        request = urllib.request.Request(control + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    application = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    threading.Thread(target=application.serve_forever, daemon=True).start()
    shop = f"http://127.0.0.1:{application.server_port}"
    hook = lambda: Application.hooks.get(timeout=10)

    client = Client(ACCOUNT, TOKEN)
    client.api.base_url = url

    sent = client.messages.create(to=THEIRS, from_=OURS, body="Grüße & more", status_callback=shop + "/status?a=b")
    assert (sent.status, sent.num_segments, sent.error_code, sent.direction) == ("queued", "1", None, "outbound-api")
    assert abs(sent.date_created - datetime.now(timezone.utc)) < timedelta(minutes=1)
    for status in ("sending", "sent", "delivered"):
        good, form = hook()
        assert good and form["MessageStatus"] == status, (good, form)
    assert client.messages(sent.sid).fetch().status == "delivered"
    assert client.messages(sent.sid).update(body="").body == ""

    sids = sim("/_sim/inbound", [{"from": THEIRS, "body": str(number)} for number in range(7)])
    since = datetime.now(timezone.utc) - timedelta(minutes=15)
    listed = client.messages.list(to=OURS, date_sent_after=since, page_size=2)
    assert [one.sid for one in listed] == sids[::-1]
    assert not client.messages.list(date_sent_before=since, page_size=2)

    sim("/_sim/numbers", {"number": OURS, "sms_url": shop + "/sms"})
    for settings, valid in (({}, True), ({"sign_without_port": True}, True), ({"forgery": "tampered"}, False)):
        sim("/_sim/settings", settings)
        sim("/_sim/inbound", [{"from": THEIRS, "body": "it's 5 o'clock + a bit", "media": [["text/plain", "x"]]}])
        good, form = hook()
        assert good == valid, (settings, form)
    sim("/_sim/settings", {})
    sim("/_sim/webhook", {"url": shop + "/json", "json": {"a": "ü"}})
    assert hook()[0]
    pictures = client.messages.list(to=OURS, limit=1)[0].media.list()
    assert [one.content_type for one in pictures] == ["text/plain"]

    create = client.messages.create
    refused(21211, lambda: create(to="+15005550001", from_="+15005550006", body="x"))
    refused(21610, lambda: create(to="+15005550004", from_="+15005550006", body="x"))
    refused(20404, lambda: client.messages("SM" + "0" * 32).fetch())
    sim("/_sim/faults", [{"fault": {"too_many": {"retry_after": 1}}, "times": 1}])
    refused(20429, lambda: create(to=THEIRS, from_=OURS, body="x"))
    sim("/_sim/inbound", [{"from": THEIRS, "body": "STOP"}])
    refused(21610, lambda: create(to=THEIRS, from_=OURS, body="x"))
    stranger = Client(ACCOUNT, "wrong")
    stranger.api.base_url = url
    refused(20003, lambda: stranger.messages(sent.sid).fetch())

    call = client.calls.create(to=THEIRS, from_=OURS, twiml="<Response/>")
    assert client.calls(call.sid).fetch().sid == call.sid and len(client.calls.list()) == 1
    recording = sim("/_sim/recordings", {"call_sid": call.sid, "seconds": 1})
    assert [one.sid for one in client.recordings.list(date_created_after=since)] == [recording]
    assert client.recordings(recording).delete() and not client.recordings.list()
    usage = {one.category: one.count for one in client.usage.records.list()}
    assert usage["calls"] == "1", usage
    number = client.incoming_phone_numbers.list(phone_number=OURS)[0]
    assert client.incoming_phone_numbers(number.sid).update(sms_url="").sms_url == ""
    assert client.messages(sent.sid).delete()
    refused(20404, lambda: client.messages(sent.sid).fetch())
    application.shutdown()


def main():
    arguments = [sys.argv[1], "twilio", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:
        try:
            at = json.loads(program.stdout.readline())
            prove(at["url"], at["control"])
        finally:
            program.terminate()
    print("the SDK for Python reads the simulator as it reads Twilio")


main()
