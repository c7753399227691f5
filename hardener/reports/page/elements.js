// How things look: elements made of text nodes, never of HTML.

const SVG = "http://www.w3.org/2000/svg";
const PAGE = 100; // rows that are made at once
const REST = 20; // rows for which nobody wants to press a button

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (value !== false && value != null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child != null && child !== false));
  return made;
}

function bar(run, counts) {
  const total = [...counts.values()].reduce((sum, number) => sum + number, 0);
  const svg = document.createElementNS(SVG, "svg");
  const present = run.statuses.filter(({ code }) => counts.get(code));
  svg.setAttribute("class", "bar");
  svg.setAttribute("height", 8);
  svg.setAttribute("viewBox", `0 0 ${total} 1`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", present.map(({ code, words }) => `${counts.get(code)} ${words}`).join(", "));
  let x = 0;
  for (const { code, name } of present) {
    const rect = document.createElementNS(SVG, "rect");
    rect.setAttribute("class", name);
    rect.setAttribute("x", x);
    rect.setAttribute("width", counts.get(code));
    rect.setAttribute("height", 1);
    svg.append(rect);
    x += counts.get(code);
  }
  return svg;
}

// Something that opens; its content is made when it opens for the first time.
function folded(className, summary, content) {
  const details = element("details", { class: className }, element("summary", {}, summary));
  details.addEventListener("toggle", () => details.open && fill(details));
  details.content = content;
  return details;
}

function fill(details) {
  if (!details.content) return;
  details.append(...[details.content()].flat());
  details.content = null;
}

// The first rows of a list, and a button for the next.
function pages(items, make, label) {
  const list = element("div", { class: "list" });
  let shown = 0;
  const more = element("button", { type: "button", class: "more", on: { click: () => next(true) } });
  function next(focus) {
    const rows = items.slice(shown, items.length - shown <= PAGE + REST ? items.length : shown + PAGE).map(make);
    list.append(...rows);
    shown += rows.length;
    more.textContent = `Show ${Math.min(PAGE, items.length - shown)} of ${items.length - shown} more ${label}`;
    if (shown >= items.length) more.remove();
    if (focus) rows[0].querySelector("summary")?.focus();
  }
  next(false);
  return shown < items.length ? [list, more] : [list];
}

// The little Markdown of the catalogue: paragraphs, indented code, `code` in a line.
function prose(text) {
  return text.split(/\n{2,}/).map((part) => {
    if (part.split("\n").every((line) => line.startsWith("    ")))
      return element("pre", { tabindex: "0" }, part.replace(/^ {4}/gm, ""));
    const pieces = part.split(/`([^`]+)`/);
    return element("p", {}, pieces.map((piece, index) => (index % 2 ? element("code", {}, piece) : piece)));
  });
}

function term(name, ...content) {
  return element("div", {}, element("dt", {}, name), element("dd", {}, ...content));
}

function statusWord(status) {
  return element("span", { class: `status ${status.name}` }, status.words);
}

// What became of it since the run before.
function mark(move, number) {
  const words = move.name === "broken" ? "new" : move.words;
  return element("span", { class: `mark ${move.name}` }, number ? `${number} ${words}` : words);
}

// What was found on one host by one control.
function evidence(run, host, control) {
  const verdict = run.verdict(host, control);
  const status = run.status(host, control);
  const move = run.move(host, control);
  const rest = (shown, all, what) => (all > shown ? element("li", { class: "rest" }, `+${all - shown} more ${what}`) : null);
  const items = verdict.offenders.map(([kind, name, detail]) =>
    element("li", {}, element("span", { class: "kind" }, `${kind} `), element("b", {}, name), detail ? `: ${detail}` : null),
  );
  const share = verdict.checked ? ` (${verdict.offending} of ${verdict.checked})` : "";
  return element(
    "dl",
    { class: "evidence" },
    term("Expected", verdict.expected),
    term("Found", verdict.actual),
    move ? term("Last run", statusWord(move.status), ` ${move.verdict.actual}`) : null,
    items.length
      ? term(`Offenders${share}`, element("ul", {}, items, rest(items.length, verdict.offending, "in the JSON report")))
      : null,
    verdict.evidence.length
      ? term(
          status.name === "manual" ? "Look at" : "Evidence",
          element(
            "ul",
            { class: "facts" },
            verdict.evidence.map((each) => element("li", {}, each)),
            rest(verdict.evidence.length, verdict.facts, "in the JSON report"),
          ),
        )
      : null,
    term("Link", element("a", { href: `#${new URLSearchParams({ host: host.name, control: run.controls[control].slug })}` }, "to this finding alone")),
  );
}

// What a control means, how to repair it and what it serves.
function description(run, control) {
  const mappings = control.mappings.map(([framework, source, ids]) =>
    element(
      "li",
      {},
      element("b", {}, run.frameworks[framework] ?? framework),
      ` ${ids.join(", ")} `,
      element("span", { class: "source" }, `mapped by ${run.sources[source] ?? source}`),
    ),
  );
  const role = control.role && element(
    "p",
    { class: "role" },
    "Or by the role ",
    element("code", {}, control.role[0]),
    ", decided by ",
    element("code", {}, control.role[1]),
    `: ${control.role[2]}.`,
  );
  return element(
    "dl",
    { class: "description" },
    term("Why", prose(control.rationale)),
    term("How to fix", prose(control.fix), role),
    term("Decided by", prose(control.decision)),
    term("Serves", element("ul", {}, mappings)),
  );
}

