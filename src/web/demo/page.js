// The demonstration's page: shows what the server's events say, and posts what is done. Knows nothing else.
"use strict";

const $ = (id) => document.getElementById(id);
let view = null;
let shown = "";

function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

function fill(list, items) {
  list.replaceChildren(...items);
}

function trouble(text) {
  $("trouble").hidden = !text;
  $("trouble").textContent = text || "";
}

function me() {
  return view && view.people.find((person) => person.phone === $("who").value);
}

function people() {
  const kept = $("who").value || location.hash.slice(1);
  const names = view.people.map((person) => person.phone + person.name).join();
  if ($("who").dataset.names === names) return;
  $("who").dataset.names = names;
  fill($("who"), view.people.map((person) => new Option(`${person.name} (${person.phone})`, person.phone)));
  if (view.people.some((person) => person.phone === kept)) $("who").value = kept;
}

function bubble(text) {
  if (!text.person) return element("li", "note", text.body);
  const item = element("li", text.from_shop ? "shop" : "me", text.body);
  const author = text.from_shop ? view.shop : "You";
  item.prepend(element("span", "unseen", `${author}: `));
  item.append(element("time", "", text.at));
  return item;
}

function texts() {
  const person = $("who").value;
  const mine = view.texts.filter((text) => !text.person || text.person === person);
  const list = $("texts");
  const key = `${person}/${mine.length}`;
  if (key === shown) return;
  const before = shown.split("/");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 80;
  if (before[0] === person && Number(before[1]) > 0 && mine.length > Number(before[1])) {
    // Only what is new, so that a screen reader reads only that.
    list.append(...mine.slice(Number(before[1])).map(bubble));
  } else if (mine.length === 0) {
    const staff = me() && me().staff;
    fill(list, [element("li", "hint", staff
      ? "When a customer asks for the shop, it comes here. Answer with the number in front: #1 We open at nine."
      : "Write anything. “Hi” will do.")]);
  } else {
    fill(list, mine.map(bubble));
  }
  if (atEnd || before[0] !== person) list.scrollTop = list.scrollHeight;
  shown = key;
}

function box() {
  $("power").textContent = view.box_on ? "on" : "off";
  $("power").className = view.box_on ? "on" : "off";
  $("cut").disabled = !view.box_on;
  const up = view.lines.filter((line) => line.up).length;
  const names = view.lines.map((line) => `${line.id}${line.operator ? ", " + line.operator : ""}`).join("; ");
  $("lines").textContent = `${up} of ${view.lines.length} up${names ? ` (${names})` : ""}`;
  $("dealer").textContent = view.dealer_on ? "on: switch off" : "off: switch on";
  $("dealer").setAttribute("aria-checked", String(view.dealer_on));
  $("dealer").setAttribute("aria-label", "Dealer's system");
  const reached = view.dealer_reached;
  $("reached").textContent = reached === null ? "…" : reached ? "dealer answers" : "dealer does not answer";
  $("reached").className = reached === false ? "off" : "";
  const sent = view.texts.filter((text) => text.person && text.from_shop).length;
  const received = view.texts.filter((text) => text.person && !text.from_shop).length;
  $("counts").textContent = `${received} in, ${sent} out, ${view.queued} waiting`;
  fill($("orders"), view.orders.length === 0 ? [element("li", "", "none yet")] : view.orders.map((order) => {
    const item = element("li", "", `${order.kind}: `);
    item.append(element("span", order.settled ? "on" : "off", order.state));
    item.title = order.id;
    return item;
  }));
  const steps = view.steps[$("who").value] || [];
  fill($("steps"), steps.length === 0 ? [element("li", "", "none yet")] : steps.map((step) => {
    const item = element("li", "", `${step.flow}: ${step.from}, ${step.event} → `);
    item.append(element("b", "", step.to));
    return item;
  }));
}

function show() {
  if (!view) return;
  $("shop").textContent = view.shop;
  $("number").textContent = view.number;
  people();
  const person = me();
  $("owns").textContent = person ? person.owns.join(", ") : "";
  texts();
  box();
}

async function act(deed) {
  try {
    const answer = await fetch("deeds", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(deed),
    });
    trouble(answer.ok ? "" : await answer.text());
    return answer.ok;
  } catch {
    trouble("The demonstration does not answer. Was it ended?");
    return false;
  }
}

$("write").addEventListener("submit", async (event) => {
  event.preventDefault();
  const body = $("body").value.trim();
  if (!body || !$("who").value) return;
  $("body").value = "";
  if (!(await act({ do: "text", from: $("who").value, body }))) $("body").value = body;
});
$("who").addEventListener("change", () => {
  location.hash = $("who").value;
  show();
  $("body").focus();
});
$("dealer").addEventListener("click", () => act({ do: "dealer", on: !view.dealer_on }));
$("cut").addEventListener("click", () => act({ do: "cut" }));

const events = new EventSource("events");
events.addEventListener("message", (event) => {
  view = JSON.parse(event.data);
  show();
});
events.addEventListener("error", () => {
  if (events.readyState === EventSource.CLOSED) trouble("The demonstration is over.");
});
