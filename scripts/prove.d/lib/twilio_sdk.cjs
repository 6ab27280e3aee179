// The official SDK for Node against `hil twilio`: what it reads must be what the simulator means. The same list of
// operations as in twilio_sdk.py.
"use strict";
const assert = require("node:assert");
const { spawn } = require("node:child_process");
const fs = require("node:fs");
const http = require("node:http");
const https = require("node:https");
const readline = require("node:readline");
const twilio = require("twilio");

const ACCOUNT = "AC00000000000000000000000000000001";
const TOKEN = "simulated-auth-token";
const TEST = ["AC00000000000000000000000000000002", "simulated-test-token"];
const [OURS, THEIRS] = ["+12065550199", "+12065550100"];

/// The shop's application: validates each webhook with the SDK and keeps it until it is asked for.
class Application {
  constructor(secure) {
    this.hooks = [];
    this.waiting = [];
    const take = (request, response) => this.take(request, response, secure ? "https" : "http");
    this.server = secure ? https.createServer(secure, take) : http.createServer(take);
  }

  async listen() {
    await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
    const scheme = this.server instanceof https.Server ? "https" : "http";
    return `${scheme}://127.0.0.1:${this.server.address().port}`;
  }

  async take(request, response, scheme) {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString();
    const url = `${scheme}://${request.headers.host}${request.url}`;
    const signature = request.headers["x-twilio-signature"] || "";
    const json = request.headers["content-type"] === "application/json";
    const form = json ? {} : Object.fromEntries(new URLSearchParams(body));
    const good = json
      ? twilio.validateRequestWithBody(TOKEN, signature, url, body)
      : twilio.validateRequest(TOKEN, signature, url, form);
    response.writeHead(204).end();
    const hook = { good, form };
    const waiter = this.waiting.shift();
    waiter ? waiter(hook) : this.hooks.push(hook);
  }

  async next() {
    if (this.hooks.length > 0) return this.hooks.shift();
    return new Promise((done, failed) => {
      const timer = setTimeout(() => failed(new Error("no webhook came in 10 s")), 10_000);
      this.waiting.push((hook) => { clearTimeout(timer); done(hook); });
    });
  }
}

async function refused(code, promise) {
  await assert.rejects(promise, (why) => { assert.strictEqual(why.code, code, String(why)); return true; });
}

/// Every product of the SDK at the simulator.
function client(url, account, token) {
  const made = twilio(account, token);
  for (const product of ["api", "studio", "messaging", "accounts"]) made[product].baseUrl = url;
  return made;
}

async function messages(box, sim, shop, hook) {
  const sent = await box.messages.create({
    to: THEIRS, from: OURS, body: "Grüße & more", statusCallback: `${shop}/status?a=b`,
  });
  assert.deepStrictEqual([sent.status, sent.numSegments, sent.errorCode, sent.direction], ["queued", "1", null, "outbound-api"]);
  assert(Math.abs(sent.dateCreated - new Date()) < 60_000);
  for (const status of ["sending", "sent", "delivered"]) {
    const { good, form } = await hook();
    assert(good && form.MessageStatus === status, JSON.stringify(form));
  }
  assert.strictEqual((await box.messages(sent.sid).fetch()).status, "delivered");
  assert.strictEqual((await box.messages(sent.sid).update({ body: "" })).body, "");

  const texts = [...Array(7).keys()].map((number) => ({ from: THEIRS, body: String(number) }));
  const sids = await sim("/_sim/inbound", texts);
  const since = new Date(Date.now() - 15 * 60_000);
  const listed = await box.messages.list({ to: OURS, dateSentAfter: since, pageSize: 2 });
  assert.deepStrictEqual(listed.map((one) => one.sid), sids.reverse());
  assert.deepStrictEqual(await box.messages.list({ dateSentBefore: since, pageSize: 2 }), []);
  return sent;
}

async function webhooks(box, sim, shop, hook) {
  await sim("/_sim/numbers", { number: OURS, sms_url: `${shop}/sms` });
  const text = { from: THEIRS, body: "it's 5 o'clock + a bit", media: [["text/plain", "x"]] };
  const forged = ["tampered", "foreign_token", "garbage", "missing"].map((forgery) => [{ forgery }, false]);
  for (const [settings, valid] of [[{}, true], [{ sign_without_port: true }, true], ...forged]) {
    await sim("/_sim/settings", settings);
    const [sid] = await sim("/_sim/inbound", [text]);
    const { good, form } = await hook();
    assert.deepStrictEqual([good, form.MessageSid], [valid, sid], JSON.stringify(settings));
  }
  await sim("/_sim/settings", {});
  await sim("/_sim/webhook", { url: `${shop}/json`, json: { a: "ü" } });
  assert((await hook()).good);
  await sim("/_sim/numbers", { number: OURS });
}

async function refusals(box, sim, url, sent) {
  const create = (to, from) => box.messages.create({ to, from, body: "x" });
  await refused(21211, create("+15005550001", "+15005550006"));
  await refused(21610, create("+15005550004", "+15005550006"));
  await refused(20404, box.messages(`SM${"0".repeat(32)}`).fetch());
  await sim("/_sim/faults", [{ fault: { too_many: { retry_after: 1 } }, times: 1 }]);
  await refused(20429, create(THEIRS, OURS));
  await sim("/_sim/inbound", [{ from: THEIRS, body: "STOP" }]);
  await refused(21610, create(THEIRS, OURS));
  await sim("/_sim/inbound", [{ from: THEIRS, body: "START" }]);
  await refused(20003, client(url, ACCOUNT, "wrong").messages(sent.sid).fetch());
  const test = client(url, ...TEST);
  assert.strictEqual((await test.messages.create({ to: THEIRS, from: "+15005550006", body: "x" })).status, "queued");
  await refused(20008, test.messages(sent.sid).fetch());
  await refused(63007, create(`whatsapp:${THEIRS}`, "whatsapp:+12065550111"));
  const template = await sim("/_sim/templates", { body: "Order {{1}}" });
  const whatsapp = await box.messages.create({
    to: `whatsapp:${THEIRS}`, from: `whatsapp:${OURS}`, contentSid: template, contentVariables: JSON.stringify({ 1: "SO-1" }),
  });
  assert.strictEqual(whatsapp.body, "Order SO-1");
}

async function calls(box, sim) {
  const call = await box.calls.create({ to: THEIRS, from: OURS, twiml: "<Response/>" });
  assert.strictEqual((await box.calls(call.sid).fetch()).sid, call.sid);
  assert.strictEqual((await box.calls.list()).length, 1);
  const recording = await sim("/_sim/recordings", { call_sid: call.sid, seconds: 1 });
  const since = new Date(Date.now() - 15 * 60_000);
  const found = await box.recordings.list({ dateCreatedAfter: since });
  assert.deepStrictEqual(found.map((one) => one.sid), [recording]);
  assert(await box.recordings(recording).remove());
  assert.deepStrictEqual(await box.recordings.list(), []);
  const usage = await box.usage.records.thisMonth.list({ category: "calls" });
  assert.deepStrictEqual(usage.map((one) => one.count), ["1"]);
}

async function setup(box) {
  const [number] = await box.incomingPhoneNumbers.list({ phoneNumber: OURS });
  const set = await box.incomingPhoneNumbers(number.sid).update({ voiceUrl: "https://localhost/v", voiceMethod: "GET", statusCallback: "https://localhost/c" });
  assert.deepStrictEqual([set.voiceUrl, set.voiceMethod, set.statusCallback, set.smsMethod], ["https://localhost/v", "GET", "https://localhost/c", "POST"]);

  const list = await box.sip.credentialLists.create({ friendlyName: "box" });
  const secret = { username: "box", password: "Correct-horse-9" };
  assert.strictEqual((await box.sip.credentialLists(list.sid).credentials.create(secret)).username, "box");
  const wanted = { domainName: "shop-1.sip.twilio.com", sipRegistration: true, secure: true };
  const domain = await box.sip.domains.create(wanted);
  assert(domain.sipRegistration && domain.secure && domain.dateCreated instanceof Date);
  await refused(21231, box.sip.domains.create(wanted));
  const auth = box.sip.domains(domain.sid).auth;
  for (const kind of [auth.registrations, auth.calls]) {
    await kind.credentialListMappings.create({ credentialListSid: list.sid });
    assert.deepStrictEqual((await kind.credentialListMappings.list()).map((one) => one.sid), [list.sid]);
  }
  await assert.rejects(box.sip.credentialLists(list.sid).remove());
  assert(await auth.calls.credentialListMappings(list.sid).remove());
  assert(await box.sip.domains(domain.sid).remove());
  assert(await box.sip.credentialLists(list.sid).remove());
}

async function studio(box, url) {
  const definition = {
    description: "Rings", initial_state: "Trigger", flags: { allow_concurrent_calls: true },
    states: [
      { name: "Trigger", type: "trigger", properties: {}, transitions: [{ event: "incomingCall", next: "ring" }] },
      { name: "ring", type: "connect-call-to", properties: { noun: "sip", to: "sip:box@shop-1.sip.twilio.com" }, transitions: [] },
    ],
  };
  const flow = { friendlyName: "box-in", status: "draft", definition };
  assert((await box.studio.v2.flowValidate.update(flow)).valid);
  const made = await box.studio.v2.flows.create({ ...flow, commitMessage: "first" });
  assert.deepStrictEqual([made.revision, made.status, made.definition], [1, "draft", definition]);
  const live = await box.studio.v2.flows(made.sid).update({ status: "published" });
  assert.deepStrictEqual([live.revision, live.status], [2, "published"]);
  // 6.2.0 cannot list revisions (it reads a property of the one that it was not given): its client asks for them plainly.
  const numbers = [];
  for (let uri = `${live.links.revisions}?PageSize=1`; uri; ) {
    const { body } = await box.request({ method: "get", uri });
    numbers.push(...body.revisions.map((one) => one.revision));
    uri = body.meta.next_page_url;
  }
  assert.deepStrictEqual(numbers, [2, 1]);
  assert.strictEqual((await box.studio.v2.flows(made.sid).revisions("LatestDraft").fetch()).commitMessage, "first");
  assert.deepStrictEqual((await box.studio.v2.flows.list()).map((one) => one.sid), [made.sid]);
  const bad = { ...flow, definition: { ...definition, initial_state: "nowhere" } };
  await assert.rejects(box.studio.v2.flows.create(bad), (why) =>
    why.code === 81022 && why.details.errors[0].property_path === "#/initial_state");
  assert(await box.studio.v2.flows(made.sid).remove());
}

async function services(box, sim) {
  const service = await box.messaging.v1.services.create({ friendlyName: "shop" });
  const [number] = await box.incomingPhoneNumbers.list({ phoneNumber: OURS });
  const pool = box.messaging.v1.services(service.sid).phoneNumbers;
  await pool.create({ phoneNumberSid: number.sid });
  assert.deepStrictEqual((await pool.list()).map((one) => one.phoneNumber), [OURS]);
  const sent = await box.messages.create({ to: THEIRS, messagingServiceSid: service.sid, body: "x" });
  assert.deepStrictEqual([sent.status, sent.from], ["accepted", null]);
  await sim("/_sim/inbound", [{ from: THEIRS, body: "STOP" }]);
  await refused(21610, box.messages.create({ to: THEIRS, messagingServiceSid: service.sid, body: "x" }));
}

async function consents(box, sim) {
  const item = (number, status, more = {}) => ({
    contact_id: THEIRS, correlation_id: number.toString(16).padStart(32, "0"), sender_id: OURS, status,
    source: "offline", date_of_consent: "2026-11-20T08:00:00.000Z", ...more,
  });
  const tell = async (...items) => (await box.accounts.v1.bulkConsents.create({ items })).items;
  const send = () => box.messages.create({ to: THEIRS, from: OURS, body: "x" });
  assert.deepStrictEqual((await tell(item(1, "opt-out"))).map((one) => one.error_code), [0]);
  await refused(21610, send());
  const mixed = await tell(item(2, "opt-in"), item(3, "perhaps", { sender_id: "+15550000000" }));
  assert.deepStrictEqual(mixed.map((one) => [one.correlation_id.at(-1), one.error_code]), [["2", 0], ["3", 30646]]);
  assert.deepStrictEqual(mixed[1].error_messages, ["INVALID_SENDER_ID", "INVALID_STATUS"]);
  assert.strictEqual((await send()).status, "queued");
  await refused(20001, tell(...[...Array(26).keys()].map((number) => item(number, "opt-out"))));
  await sim("/_sim/faults", [{ fault: { status: { status: 403, code: 20403 } }, path: "/v1/Consents", times: 1 }]);
  await refused(20403, tell(item(4, "opt-out")));
}

async function prove(at, files) {
  const sim = async (path, body) => {
    const headers = { "Content-Type": "application/json" };
    const answer = await fetch(at.control + path, { method: "POST", headers, body: JSON.stringify(body) });
    const text = await answer.text();
    assert(answer.ok, `${path}: ${answer.status} ${text}`);
    return text ? JSON.parse(text) : null;
  };
  const plain = new Application();
  const secure = new Application({ cert: fs.readFileSync(files.cert), key: fs.readFileSync(files.key) });
  const box = client(at.url, ACCOUNT, TOKEN);
  const shop = await plain.listen();
  const sent = await messages(box, sim, shop, () => plain.next());
  await webhooks(box, sim, shop, () => plain.next());
  await webhooks(box, sim, await secure.listen(), () => secure.next());
  const [newest] = await box.messages.list({ to: OURS, limit: 1 });
  // 6.2.0 gives entries of a list no way to their own sub-resources: they are asked for by SID.
  assert.deepStrictEqual((await box.messages(newest.sid).media.list()).map((one) => one.contentType), ["text/plain"]);
  await refusals(box, sim, at.url, sent);
  await calls(box, sim);
  await setup(box);
  await studio(box, at.url);
  await consents(box, sim);
  await services(box, sim);
  assert(await box.messages(sent.sid).remove());
  await refused(20404, box.messages(sent.sid).fetch());
  plain.server.close();
  secure.server.close();
}

async function main() {
  const [hil, cert, key] = process.argv.slice(2);
  const program = spawn(hil, [
    "twilio", "--listen", "127.0.0.1:0", "--control", "127.0.0.1:0", "--webhook-ca", cert, "--test-account", TEST.join(":"),
  ], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const [line] = await new Promise((done, failed) => {
      readline.createInterface({ input: program.stdout }).once("line", (text) => done([text]));
      program.once("exit", () => failed(new Error("the simulator did not start")));
    });
    await prove(JSON.parse(line), { cert, key });
  } finally {
    program.kill();
  }
  console.log("the SDK for Node reads the simulator as it reads Twilio");
}

main().catch((why) => { console.error(why); process.exit(1); });
