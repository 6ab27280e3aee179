"""The official SDK for Python against `hil twilio`: what it reads must be what the simulator means. The same list of
operations as in twilio_sdk.cjs."""

import http.server
import json
import queue
import ssl
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
TEST = ("AC00000000000000000000000000000002", "simulated-test-token")
OURS, THEIRS = "+12065550199", "+12065550100"


class Application(http.server.BaseHTTPRequestHandler):
    """The shop's application: validates each webhook with the SDK and keeps it until it is asked for."""

    hooks = queue.Queue()

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        url = f"{scheme}://{self.headers['Host']}{self.path}"
        json_body = self.headers["Content-Type"] == "application/json"
        signature = self.headers.get("X-Twilio-Signature", "")
        good = RequestValidator(TOKEN).validate(url, body if json_body else form, signature)
        self.hooks.put((good, form))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


def application(files=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Application)
    if files:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*files)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    scheme = "https" if files else "http"
    return f"{scheme}://127.0.0.1:{server.server_port}"


def hook():
    return Application.hooks.get(timeout=10)


def refused(code, call):
    try:
        call()
    except TwilioRestException as why:
        assert why.code == code, (code, why)
        return why
    raise AssertionError(f"{code} was expected")


def client(url, account, token):
    made = Client(account, token)
    for product in (made.api, made.studio, made.messaging, made.accounts):
        product.base_url = url
    return made


def messages(box, sim, shop):
    sent = box.messages.create(to=THEIRS, from_=OURS, body="Grüße & more", status_callback=shop + "/status?a=b")
    assert (sent.status, sent.num_segments, sent.error_code, sent.direction) == ("queued", "1", None, "outbound-api")
    assert abs(sent.date_created - datetime.now(timezone.utc)) < timedelta(minutes=1)
    for status in ("sending", "sent", "delivered"):
        good, form = hook()
        assert good and form["MessageStatus"] == status, (good, form)
    assert box.messages(sent.sid).fetch().status == "delivered"
    assert box.messages(sent.sid).update(body="").body == ""

    sids = sim("/_sim/inbound", [{"from": THEIRS, "body": str(number)} for number in range(7)])
    since = datetime.now(timezone.utc) - timedelta(minutes=15)
    listed = box.messages.list(to=OURS, date_sent_after=since, page_size=2)
    assert [one.sid for one in listed] == sids[::-1]
    assert not box.messages.list(date_sent_before=since, page_size=2)
    return sent


def webhooks(sim, shop):
    sim("/_sim/numbers", {"number": OURS, "sms_url": shop + "/sms"})
    text = {"from": THEIRS, "body": "it's 5 o'clock + a bit", "media": [["text/plain", "x"]]}
    forged = [({"forgery": forgery}, False) for forgery in ("tampered", "foreign_token", "garbage", "missing")]
    for settings, valid in [({}, True), ({"sign_without_port": True}, True), *forged]:
        sim("/_sim/settings", settings)
        [sid] = sim("/_sim/inbound", [text])
        good, form = hook()
        assert (good, form["MessageSid"]) == (valid, sid), (settings, form)
    sim("/_sim/settings", {})
    sim("/_sim/webhook", {"url": shop + "/json", "json": {"a": "ü"}})
    assert hook()[0]
    sim("/_sim/numbers", {"number": OURS})


def refusals(box, sim, url, sent):
    create = lambda to, from_: lambda: box.messages.create(to=to, from_=from_, body="x")
    refused(21211, create("+15005550001", "+15005550006"))
    refused(21610, create("+15005550004", "+15005550006"))
    refused(20404, lambda: box.messages("SM" + "0" * 32).fetch())
    sim("/_sim/faults", [{"fault": {"too_many": {"retry_after": 1}}, "times": 1}])
    refused(20429, create(THEIRS, OURS))
    sim("/_sim/inbound", [{"from": THEIRS, "body": "STOP"}])
    refused(21610, create(THEIRS, OURS))
    sim("/_sim/inbound", [{"from": THEIRS, "body": "START"}])
    refused(20003, lambda: client(url, ACCOUNT, "wrong").messages(sent.sid).fetch())
    test = client(url, *TEST)
    assert test.messages.create(to=THEIRS, from_="+15005550006", body="x").status == "queued"
    refused(20008, lambda: test.messages(sent.sid).fetch())
    refused(63007, create("whatsapp:" + THEIRS, "whatsapp:+12065550111"))
    template = sim("/_sim/templates", {"body": "Order {{1}}"})
    variables = json.dumps({"1": "SO-1"})
    whatsapp = {"to": "whatsapp:" + THEIRS, "from_": "whatsapp:" + OURS}
    assert box.messages.create(**whatsapp, content_sid=template, content_variables=variables).body == "Order SO-1"


def calls(box, sim):
    call = box.calls.create(to=THEIRS, from_=OURS, twiml="<Response/>")
    assert box.calls(call.sid).fetch().sid == call.sid and len(box.calls.list()) == 1
    recording = sim("/_sim/recordings", {"call_sid": call.sid, "seconds": 1})
    since = datetime.now(timezone.utc) - timedelta(minutes=15)
    assert [one.sid for one in box.recordings.list(date_created_after=since)] == [recording]
    assert box.recordings(recording).delete() and not box.recordings.list()
    assert [one.count for one in box.usage.records.this_month.list(category="calls")] == ["1"]


def setup(box):
    number = box.incoming_phone_numbers.list(phone_number=OURS)[0]
    fields = {"voice_url": "https://localhost/v", "voice_method": "GET", "status_callback": "https://localhost/c"}
    set_ = box.incoming_phone_numbers(number.sid).update(**fields)
    got = (set_.voice_url, set_.voice_method, set_.status_callback, set_.sms_method)
    assert got == ("https://localhost/v", "GET", "https://localhost/c", "POST"), got

    credential_list = box.sip.credential_lists.create(friendly_name="box")
    credentials = box.sip.credential_lists(credential_list.sid).credentials
    assert credentials.create(username="box", password="Correct-horse-9").username == "box"
    wanted = {"domain_name": "shop-1.sip.twilio.com", "sip_registration": True, "secure": True}
    domain = box.sip.domains.create(**wanted)
    assert domain.sip_registration is True and domain.secure is True
    refused(21231, lambda: box.sip.domains.create(**wanted))
    auth = box.sip.domains(domain.sid).auth
    for kind in (auth.registrations, auth.calls):
        kind.credential_list_mappings.create(credential_list_sid=credential_list.sid)
        assert [one.sid for one in kind.credential_list_mappings.list()] == [credential_list.sid]
    refused(20001, lambda: box.sip.credential_lists(credential_list.sid).delete())
    assert auth.calls.credential_list_mappings(credential_list.sid).delete()
    assert box.sip.domains(domain.sid).delete()
    assert box.sip.credential_lists(credential_list.sid).delete()


def studio(box):
    definition = {
        "description": "Rings",
        "initial_state": "Trigger",
        "flags": {"allow_concurrent_calls": True},
        "states": [
            {"name": "Trigger", "type": "trigger", "properties": {},
             "transitions": [{"event": "incomingCall", "next": "ring"}]},
            {"name": "ring", "type": "connect-call-to", "transitions": [],
             "properties": {"noun": "sip", "to": "sip:box@shop-1.sip.twilio.com"}},
        ],
    }
    flow = {"friendly_name": "box-in", "status": "draft", "definition": definition}
    flows = box.studio.v2.flows
    assert box.studio.v2.flow_validate.update(**flow).valid
    made = flows.create(**flow, commit_message="first")
    assert (made.revision, made.status, made.definition) == (1, "draft", definition)
    live = flows(made.sid).update(status="published")
    assert (live.revision, live.status) == (2, "published")
    assert [one.revision for one in flows(made.sid).revisions.list(page_size=1)] == [2, 1]
    assert flows(made.sid).revisions("LatestDraft").fetch().commit_message == "first"
    assert [one.sid for one in flows.list()] == [made.sid]
    bad = {**flow, "definition": {**definition, "initial_state": "nowhere"}}
    why = refused(81022, lambda: flows.create(**bad))
    assert why.details["errors"][0]["property_path"] == "#/initial_state", why.details
    assert flows(made.sid).delete()


def services(box, sim):
    service = box.messaging.v1.services.create(friendly_name="shop")
    number = box.incoming_phone_numbers.list(phone_number=OURS)[0]
    pool = box.messaging.v1.services(service.sid).phone_numbers
    pool.create(phone_number_sid=number.sid)
    assert [one.phone_number for one in pool.list()] == [OURS]
    send = lambda: box.messages.create(to=THEIRS, messaging_service_sid=service.sid, body="x")
    sent = send()
    assert (sent.status, sent.from_) == ("accepted", None)
    sim("/_sim/inbound", [{"from": THEIRS, "body": "STOP"}])
    refused(21610, send)


def consents(box, sim):
    def item(number, status, **more):
        given = {"contact_id": THEIRS, "correlation_id": f"{number:032x}", "sender_id": OURS, "status": status}
        return {**given, "source": "offline", "date_of_consent": "2026-11-20T08:00:00.000Z", **more}

    tell = lambda *items: box.accounts.v1.bulk_consents.create(items=list(items)).items
    send = lambda: box.messages.create(to=THEIRS, from_=OURS, body="x")
    assert [one["error_code"] for one in tell(item(1, "opt-out"))] == [0]
    refused(21610, send)
    mixed = tell(item(2, "opt-in"), item(3, "perhaps", sender_id="+15550000000"))
    assert [(one["correlation_id"][-1], one["error_code"]) for one in mixed] == [("2", 0), ("3", 30646)], mixed
    assert mixed[1]["error_messages"] == ["INVALID_SENDER_ID", "INVALID_STATUS"], mixed
    assert send().status == "queued"
    refused(20001, lambda: tell(*(item(number, "opt-out") for number in range(26))))
    sim("/_sim/faults", [{"fault": {"status": {"status": 403, "code": 20403}}, "path": "/v1/Consents", "times": 1}])
    assert refused(20403, lambda: tell(item(4, "opt-out"))).status == 403


def prove(url, control, files):
    def sim(path, body):
        data = json.dumps(body).encode()
        request = urllib.request.Request(control + path, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    shop = application()
    box = client(url, ACCOUNT, TOKEN)
    sent = messages(box, sim, shop)
    webhooks(sim, shop)
    webhooks(sim, application(files))
    pictures = box.messages.list(to=OURS, limit=1)[0].media.list()
    assert [one.content_type for one in pictures] == ["text/plain"]
    refusals(box, sim, url, sent)
    calls(box, sim)
    setup(box)
    studio(box)
    consents(box, sim)
    services(box, sim)
    assert box.messages(sent.sid).delete()
    refused(20404, lambda: box.messages(sent.sid).fetch())


def main():
    hil, cert, key = sys.argv[1:]
    arguments = [hil, "twilio", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"]
    arguments += ["--webhook-ca", cert, "--test-account", ":".join(TEST)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as program:
        try:
            at = json.loads(program.stdout.readline())
            prove(at["url"], at["control"], (cert, key))
        finally:
            program.terminate()
    print("the SDK for Python reads the simulator as it reads Twilio")


main()
