// The findings that the filter lets through, grouped, and the form that changes the filter.

function marks(run, group) {
  return group.moves.map((number, move) => mark(run.moves[move], run.hosts.length > 1 ? number : 0));
}

function controlRow(run, group, many, className = "group") {
  const control = run.controls[group.key];
  const [h, c] = group.findings[0];
  return folded(
    className,
    [
      element("span", { class: `severity ${control.severity}` }, control.severity),
      element("span", { class: "id" }, control.id),
      element("span", { class: "title" }, many ? control.title : run.title(run.hosts[h], c), marks(run, group)),
      many ? bar(run, group.counts) : null,
      many
        ? element("span", { class: "number" }, `${group.findings.length} of ${run.hosts.length}`)
        : statusWord(run.status(run.hosts[h], c)),
    ],
    () => [
      many ? null : evidence(run, run.hosts[h], c),
      description(run, control),
      many ? element("h3", {}, "Hosts") : null,
      ...(many ? pages(group.findings, ([h, c]) => hostFinding(run, h, c), "hosts") : []),
    ].filter(Boolean),
  );
}

function hostFinding(run, h, c) {
  const host = run.hosts[h];
  const move = run.move(host, c);
  return folded(
    "finding",
    [
      statusWord(run.status(host, c)),
      element("span", { class: "name" }, host.name, move ? mark(move) : null),
      element("span", { class: "actual" }, run.verdict(host, c).actual),
    ],
    () => evidence(run, host, c),
  );
}

function controlFinding(run, h, c) {
  const host = run.hosts[h];
  const control = run.controls[c];
  const move = run.move(host, c);
  return folded(
    "finding",
    [
      statusWord(run.status(host, c)),
      element("span", { class: `severity ${control.severity}` }, control.severity),
      element("span", { class: "id" }, control.id),
      element("span", { class: "title" }, run.title(host, c), move ? mark(move) : null),
    ],
    () => [evidence(run, host, c), description(run, control)],
  );
}

function hostRow(run, group, className = "group") {
  const host = run.hosts[group.key];
  const facts = [...host.facts, ["collected", host.collected || "never"]];
  return folded(
    className,
    [
      element("span", { class: "name" }, host.name),
      element("span", { class: "actual" }, host.unreachable ? `not reached: ${host.unreachable}` : marks(run, group)),
      bar(run, group.counts),
      element("span", { class: "number" }, `${group.findings.length} of ${host.statuses.replaceAll("-", "").length}`),
    ],
    () => [
      element("dl", { class: "about" }, facts.map(([name, value]) => term(name, value))),
      ...pages(group.findings, ([h, c]) => controlFinding(run, h, c), "controls"),
    ],
  );
}

// A group of the inventory: its hosts, each with its findings.
function inventoryRow(run, group) {
  const hosts = new Map();
  for (const [h, c] of group.findings) {
    if (!hosts.has(h)) hosts.set(h, { key: h, findings: [], moves: [], counts: run.countsOf(h) });
    hosts.get(h).findings.push([h, c]);
  }
  return folded(
    "group",
    [
      element("span", { class: "name" }, run.inside[group.key]),
      element("span", { class: "actual" }, `${hosts.size} ${hosts.size === 1 ? "host" : "hosts"}`),
      bar(run, group.counts),
      element("span", { class: "number" }, `${group.findings.length} of ${[...group.counts.values()].reduce((a, b) => a + b)}`),
    ],
    () => pages([...hosts.values()], (each) => hostRow(run, each, "host-in-group"), "hosts"),
  );
}

function requirementRow(run, group, framework) {
  const controls = new Map(); // those with a finding to show, each a group of its own
  for (const [h, c] of group.findings) {
    if (!controls.has(c)) controls.set(c, { key: c, findings: [], moves: [], counts: run.counts(c) });
    controls.get(c).findings.push([h, c]);
  }
  const sources = new Set();
  for (const control of run.controls)
    for (const [name, source, ids] of control.mappings)
      if (name === framework && ids.includes(group.key)) sources.add(run.sources[source] ?? source);
  const ids = [...controls.keys()].sort((a, b) => run.places[a] - run.places[b]).map((c) => run.controls[c].id);
  return folded(
    "group",
    [
      element("span", { class: "id requirement" }, group.key),
      element("span", { class: "title" }, ids.join(", ")),
      element("span", { class: "source" }, `mapped by ${[...sources].join(" and ")}`),
      bar(run, group.counts),
      element("span", { class: "number" }, `${group.findings.length} of ${[...group.counts.values()].reduce((a, b) => a + b)}`),
    ],
    () => pages([...controls.values()], (each) => controlRow(run, each, run.hosts.length > 1, "control"), "controls"),
  );
}

const PRINTED = 5000; // findings

class Page {
  constructor(run) {
    this.run = run;
    this.form = document.getElementById("filters");
    this.groups = document.getElementById("groups");
    document.getElementById("without").remove();
    this.button = document.getElementById("save");
    this.button.hidden = false;
    this.button.addEventListener("click", () => save(csv(run, this.filter), "findings.csv"));
    this.filter = new Filter(run, location.hash);
    this.build();
    this.form.hidden = false;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    addEventListener("hashchange", () => {
      if (location.hash && !/=|^#(control|section)-/.test(location.hash)) return; // a place in the page, not a view of it
      this.filter = new Filter(run, location.hash);
      this.show();
      document.getElementById("findings").scrollIntoView();
    });
    addEventListener("beforeprint", () => this.unfold());
    this.show();
  }

  build() {
    const groupings = [
      ["control", "Controls"],
      ["host", "Hosts"],
      ["inventory", "Groups"],
      ...Object.entries(this.run.frameworks),
    ].filter(([name]) => (name !== "host" || this.run.hosts.length > 1) && (name !== "inventory" || this.run.inside.length > 1));
    const press = (value, words, change) =>
      element("button", { type: "button", value, on: { click: () => this.change(change) } }, words);
    this.form.querySelector(".by").append(
      ...groupings.map(([name, title]) => press(name, title, () => (this.filter.group = name))),
    );
    const toggle = (field, name) => () => {
      const chosen = this.filter[field];
      if (!chosen.delete(name)) chosen.add(name);
    };
    this.choices("status").append(
      ...this.run.statuses.map(({ name, words }) => press(name, words, toggle("status", name))),
    );
    this.choices("severity").append(
      ...this.run.severities.map((name) => press(name, name, toggle("severity", name))),
    );
    const { section, text } = this.form.elements;
    section.append(
      element("option", { value: "" }, "all"),
      ...this.run.sections.map(({ name, title }) => element("option", { value: name }, title)),
    );
    section.addEventListener("change", () => this.change(() => (this.filter.section = section.value)));
    const { moved, inside } = this.form.elements;
    inside.append(
      element("option", { value: "" }, "all"),
      ...[...this.run.inside]
        .sort((a, b) => a.localeCompare(b, "en", { numeric: true }))
        .map((name) => element("option", { value: name }, name)),
    );
    inside.closest("label").hidden = this.run.inside.length < 2;
    inside.addEventListener("change", () => this.change(() => (this.filter.inside = inside.value)));
    moved.append(
      element("option", { value: "" }, "all findings"),
      element("option", { value: "any" }, "what moved"),
      ...this.run.moves.map(({ name, words }) => element("option", { value: name }, words)),
    );
    moved.closest("label").hidden = !this.run.moves.length;
    moved.addEventListener("change", () =>
      this.change(() => {
        this.filter.moved = moved.value;
        // What is fixed passes, and would not be among what is open.
        this.filter.status = new Set(
          moved.value ? this.run.statuses.map(({ name }) => name) : Filter.initial(this.run),
        );
      }),
    );
    let waiting;
    text.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => this.change(() => (this.filter.text = text.value), true), 120);
    });
  }

  choices(field) {
    return this.form.querySelector(`[data-field="${field}"]`);
  }

  // Each view is a step back, but for the letters of a search.
  change(how, typing = false) {
    how();
    const address = this.filter.address(this.run);
    if (typing && this.typed) history.replaceState(null, "", address);
    else history.pushState(null, "", address);
    this.typed = typing;
    this.show();
  }

  show() {
    const { run, filter } = this;
    for (const button of this.form.querySelectorAll(".by button"))
      button.setAttribute("aria-pressed", button.value === filter.group);
    for (const field of ["status", "severity"])
      for (const button of this.choices(field).children)
        button.setAttribute("aria-pressed", filter[field].has(button.value));
    const { section, moved, text, inside } = this.form.elements;
    inside.value = filter.inside;
    section.value = filter.section;
    moved.value = filter.moved;
    if (text.value !== filter.text) text.value = filter.text;

    const groups = run.groups(filter);
    let findings = 0; // a host can be in several groups
    run.select(filter, () => findings++);
    const framework = run.frameworks[filter.group];
    const noun = framework ? "requirement" : filter.group === "inventory" ? "group" : filter.group;
    const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;
    document.getElementById("count").textContent = groups.length
      ? run.hosts.length > 1 && !framework
        ? `${count(groups.length, noun)}, ${count(findings, "finding")}`
        : count(groups.length, noun)
      : "Nothing matches.";
    const meaning = `A requirement of ${framework} is more than the controls that serve it: where one fails it is not met; where all pass it is not thereby met.`;
    document.getElementById("note").replaceChildren(
      ...(framework ? [element("p", {}, meaning)] : []),
      ...(filter.host || filter.control ? [this.alone()] : []),
      ...(run.unseen.length && !filter.host && !["host", "inventory"].includes(filter.group) && filter.status.has("error") ? [this.unseen()] : []),
    );
    const row = framework
      ? (group) => requirementRow(run, group, filter.group)
      : filter.group === "host"
        ? (group) => hostRow(run, group)
        : filter.group === "inventory"
          ? (group) => inventoryRow(run, group)
          : (group) => controlRow(run, group, run.hosts.length > 1);
    this.groups.className = framework ? "by-requirement" : `by-${filter.group}`;
    this.groups.replaceChildren(...pages(groups, row, `${noun}s`));
    if (filter.host && filter.control) this.unfold();
  }

  // One host, one control or one finding is shown, by a link to it.
  alone() {
    const { host, control } = this.filter;
    const all = () => this.change(() => (this.filter = new Filter(this.run, "")));
    return element(
      "p",
      {},
      "Only ",
      host ? element("b", {}, host) : null,
      host && control ? " and " : null,
      control ? element("b", {}, control) : null,
      ". ",
      element("button", { type: "button", class: "link", on: { click: all } }, "Show what is open"),
    );
  }

  unseen() {
    const number = this.run.unseen.length;
    const hosts = number === 1 ? "One host" : `${number} hosts`;
    const show = () => this.change(() => (this.filter.group = "host"));
    return element(
      "p",
      {},
      `${hosts} could not be reached, and all their findings are errors. They are listed among the `,
      element("button", { type: "button", class: "link", on: { click: show } }, "hosts"),
      ".",
    );
  }

  // On paper nothing can be opened: all that the filter lets through is printed with its evidence. Where that is more
  // than a browser lays out, the groups are.
  unfold() {
    let findings = 0;
    this.run.select(this.filter, () => findings++);
    const rows = findings > PRINTED ? "details.group" : "details";
    for (let opened = true; opened; ) {
      opened = false;
      for (const more of findings > PRINTED ? [] : this.groups.querySelectorAll("button.more")) more.click();
      for (const details of this.groups.querySelectorAll(`${rows}:not([open])`)) {
        fill(details);
        opened = details.open = true;
      }
    }
  }
}

const read = (id) => JSON.parse(document.getElementById(id).textContent);
new Page(new Run(read("catalogue"), read("hosts")));
