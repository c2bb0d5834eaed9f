// The explorer's front end: draws the synced traits, and sends what a person asks for. It decides nothing.

const ACTIONS = ["start", "stop", "restart"];
const RATES = [0.25, 0.5, 1, 2, 5, 10, null];
const FILTER_FROM = 12;

function make(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick" || key === "oninput" || key === "onchange" || key === "onkeydown") node[key] = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Change text only where it differs, so that a selection or a screen reader is not disturbed. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function toggle(node, name, value) {
  if (value) node.setAttribute(name, "");
  else node.removeAttribute(name);
}

/** The table of plugins. Rows are kept by name, so that the focus stays where it is while states change. */
function pluginTable(model, send) {
  const rows = new Map();
  const body = make("tbody");
  const filter = make("input", {
    type: "search",
    class: "pbx-filter",
    placeholder: "Filter plugins",
    "aria-label": "Filter plugins by name or state",
    oninput: () => draw(),
  });
  const empty = make("p", { class: "pbx-quiet" });
  const top = make("thead");
  const table = make("table", { "aria-label": "Plugins" }, top, body);

  /** Plugins of a foreign system have no states; what they did is known instead. */
  function columns() {
    if (model.get("foreign")) return { Plugin: null, Calls: "pbx-count", Errors: "pbx-count", "": "pbx-why" };
    return { Plugin: null, State: null, Why: null, ...(model.get("live") ? { Actions: "pbx-actions" } : {}) };
  }

  function drawTop() {
    const headings = Object.entries(columns()).map(([heading, kind]) => make("th", { scope: "col", class: kind }, heading));
    top.replaceChildren(make("tr", {}, ...headings));
  }

  function newRow(name) {
    const parts = { name: make("span", { class: "pbx-name" }, name), version: make("span", { class: "pbx-quiet pbx-version" }) };
    parts.glyph = make("span", { class: "pbx-glyph", "aria-hidden": "true" });
    parts.state = make("span");
    parts.why = make("td", { class: "pbx-why" });
    parts.buttons = ACTIONS.map((action) =>
      make(
        "button",
        {
          type: "button",
          "aria-label": `${action} ${name}`,
          onclick: () => {
            parts.row.setAttribute("aria-busy", "true");
            send({ do: action, plugin: name });
          },
        },
        action[0].toUpperCase() + action.slice(1),
      ),
    );
    parts.calls = make("td", { class: "pbx-count" });
    parts.errors = make("td", { class: "pbx-count" });
    const cells = model.get("foreign")
      ? [parts.calls, parts.errors]
      : [make("td", {}, make("span", { class: "pbx-chip" }, parts.glyph, parts.state))];
    parts.row = make(
      "tr",
      { "data-plugin": name },
      make("th", { scope: "row" }, parts.name, " ", parts.version),
      ...cells,
      parts.why,
      ...(model.get("live") ? [make("td", { class: "pbx-actions" }, ...parts.buttons)] : []),
    );
    return parts;
  }

  function fill(parts, plugin) {
    const [colour, glyph] = model.get("marks")[plugin.state] ?? ["currentColor", "?"];
    write(parts.version, plugin.version);
    write(parts.glyph, glyph);
    parts.glyph.style.color = colour;
    write(parts.state, plugin.state || "not recorded");
    parts.row.dataset.state = plugin.state;
    write(parts.calls, plugin.calls.toLocaleString());
    write(parts.errors, plugin.errors ? plugin.errors.toLocaleString() : "");
    parts.errors.classList.toggle("pbx-bad", plugin.errors > 0);
    write(parts.why, plugin.why);
    parts.why.title = plugin.why;
    parts.why.classList.toggle("pbx-bad", plugin.failed);
    parts.row.removeAttribute("aria-busy");
    for (const [place, action] of ACTIONS.entries()) {
      const button = parts.buttons[place];
      const allowed = plugin.allowed.includes(action);
      toggle(button, "disabled", !allowed);
      button.title = allowed ? "" : `${plugin.name} is ${plugin.state}: it cannot ${action} now`;
    }
  }

  function draw() {
    const plugins = model.get("plugins");
    const wanted = filter.value.trim().toLowerCase();
    filter.hidden = plugins.length < FILTER_FROM && !wanted;
    const present = new Set(plugins.map((plugin) => plugin.name));
    for (const [name, parts] of rows) {
      if (!present.has(name)) {
        parts.row.remove();
        rows.delete(name);
      }
    }
    let previous = null;
    for (const plugin of plugins) {
      if (!rows.has(plugin.name)) rows.set(plugin.name, newRow(plugin.name));
      const parts = rows.get(plugin.name);
      fill(parts, plugin);
      parts.row.hidden = !`${plugin.name} ${plugin.state}`.toLowerCase().includes(wanted);
      const place = previous === null ? body.firstChild : previous.nextSibling;
      if (place !== parts.row) body.insertBefore(parts.row, place);
      previous = parts.row;
    }
    table.hidden = plugins.length === 0;
    write(empty, plugins.length ? "" : "No plugins yet.");
    empty.hidden = plugins.length > 0;
  }

  function settle() {
    for (const parts of rows.values()) parts.row.removeAttribute("aria-busy");
  }

  /** Whether there are states may come to light after the first plugins. */
  function start() {
    rows.clear();
    body.replaceChildren();
    drawTop();
    draw();
  }

  drawTop();
  return { node: make("div", { class: "pbx-scroll" }, filter, table, empty), draw, settle, start };
}

/** What a request came to: a refusal, a word, or a question with the steps that would be taken. */
function noticeBar(model, send) {
  const node = make("div", { class: "pbx-notice", role: "status", "aria-live": "polite" });
  function draw() {
    const notice = model.get("notice");
    node.replaceChildren();
    node.hidden = !notice.kind;
    if (!notice.kind) return;
    node.dataset.kind = notice.kind;
    node.append(make("p", {}, notice.text));
    const dismiss = make("button", { type: "button", onclick: () => send({ do: "dismiss" }) }, "Dismiss");
    if (notice.kind !== "ask") {
      node.append(dismiss);
      return;
    }
    node.append(make("ol", {}, ...notice.steps.map((step) => make("li", {}, step))));
    write(dismiss, "Cancel");
    const sure = make(
      "button",
      { type: "button", class: "pbx-sure", onclick: () => send({ do: notice.do, plugin: notice.plugin, sure: true }) },
      `${notice.do[0].toUpperCase()}${notice.do.slice(1)} all`,
    );
    node.append(make("div", { class: "pbx-row" }, sure, dismiss));
    sure.focus({ preventScroll: true });
  }
  node.onkeydown = (event) => {
    if (event.key === "Escape") send({ do: "dismiss" });
    // JupyterLab's own shortcuts must not see what is typed here.
    event.stopPropagation();
  };
  return { node, draw };
}

function errorLog(model) {
  const summary = make("summary");
  const body = make("tbody");
  const headings = ["Time", "Where", "Event", "What"].map((heading) => make("th", { scope: "col" }, heading));
  const table = make("table", { "aria-label": "Errors, newest first" }, make("thead", {}, make("tr", {}, ...headings)), body);
  const node = make("details", { class: "pbx-errors", open: true }, summary, make("div", { class: "pbx-log", tabindex: "0" }, table));
  function draw() {
    const errors = model.get("errors");
    const count = model.get("error_count");
    write(summary, count ? `Errors (${count.toLocaleString()})` : "No errors");
    table.hidden = errors.length === 0;
    body.replaceChildren(
      ...errors.map((error) =>
        make(
          "tr",
          {},
          make("td", { class: "pbx-quiet pbx-number", title: `#${error.seq}` }, error.time),
          make("td", { class: "pbx-code", title: `${error.where} ${error.plugin}` }, error.where, error.plugin ? make("span", { class: "pbx-quiet" }, ` ${error.plugin}`) : null),
          make("td", { class: "pbx-code", title: error.topic }, error.topic),
          make("td", { class: "pbx-bad" }, error.message, error.place ? make("div", { class: "pbx-quiet pbx-place" }, error.place) : null),
        ),
      ),
    );
  }
  return { node, draw };
}

function transportBar(model, send) {
  const play = make("button", { type: "button" });
  play.onclick = () => send({ do: model.get("transport").playing ? "pause" : "play" });
  const step = make("button", { type: "button", "aria-label": "Step to the next event", onclick: () => send({ do: "step" }) }, "Step");
  const slider = make("input", { type: "range", min: "0", step: "1", "aria-label": "Position in the recording" });
  let held = false;
  slider.oninput = () => { held = true; };
  slider.onchange = () => {
    held = false;
    send({ do: "seek", value: Number(slider.value) });
  };
  const rate = make("select", { "aria-label": "Speed" }, ...RATES.map((value) => make("option", { value: String(value) }, value === null ? "max" : `${value}×`)));
  rate.onchange = () => send({ do: "rate", value: rate.value === "null" ? null : Number(rate.value) });
  const label = make("span", { class: "pbx-quiet pbx-number", role: "status" });
  const node = make("div", { class: "pbx-row pbx-transport", role: "group", "aria-label": "Replay" }, play, step, slider, rate, label);
  function draw() {
    const view = model.get("transport");
    node.hidden = !view.state;
    if (!view.state) return;
    write(play, view.playing ? "Pause" : "Play");
    slider.max = view.steps;
    if (!held) slider.value = view.at;
    slider.setAttribute("aria-valuetext", view.label);
    rate.value = String(view.rate);
    write(label, `${view.state} · ${view.label}`);
  }
  return { node, draw };
}

function render({ model, el }) {
  const send = (request) => model.send(request);
  const title = make("span", { class: "pbx-title" });
  const counts = make("span", { class: "pbx-quiet" });
  const plugins = pluginTable(model, send);
  const notice = noticeBar(model, send);
  const errors = errorLog(model);
  const transport = transportBar(model, send);

  function drawHead() {
    write(title, model.get("title"));
    write(counts, model.get("counts"));
  }

  const parts = [
    ["plugins", plugins.draw],
    ["foreign", plugins.start],
    ["counts", drawHead],
    ["title", drawHead],
    ["notice", notice.draw],
    ["notice", plugins.settle],
    ["errors", errors.draw],
    ["error_count", errors.draw],
    ["transport", transport.draw],
  ];
  for (const [trait, draw] of parts) {
    draw();
    model.on(`change:${trait}`, draw);
  }
  el.classList.add("pbx");
  el.setAttribute("role", "region");
  el.setAttribute("aria-label", "plugbook explorer");
  el.append(make("div", { class: "pbx-head" }, title, counts), transport.node, notice.node, plugins.node, errors.node);
  return () => {
    for (const [trait, draw] of parts) model.off(`change:${trait}`, draw);
  };
}

export default { render };
