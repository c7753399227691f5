"use strict";

// What the page knows: the findings of a run, and which of them are looked at. No element is touched here but the
// two data blocks. A finding is a pair of a host and a control; texts are made safe to show before they get here.

const DEFAULT_STATUS = ["fail", "error"];

// A host is [name, collected, facts, unreachable, statuses, verdicts, new verdicts, moves]: one letter and one number a
// control. A verdict is written once, in the record of the first host that has it, and numbered in that order.
// Then come the controls that moved since the run before: [control, what became of it, status, verdict before], and
// the numbers of the host's groups in the inventory.
class Host {
  constructor([name, collected, facts, unreachable, statuses, verdicts, , moves, groups]) {
    Object.assign(this, { name, collected, facts, unreachable, statuses, verdicts, groups });
    this.moves = new Map(moves.map(([control, move, status, verdict]) => [control, { move, status, verdict }]));
  }
}

class Verdict {
  constructor([expected, actual, offenders, evidence, checked, offending, facts]) {
    Object.assign(this, { expected, actual, offenders, evidence, checked, offending, facts });
  }

  matches(text) {
    this.text ??= JSON.stringify([this.actual, this.offenders]).toLowerCase();
    return this.text.includes(text);
  }
}

class Run {
  constructor(catalogue, records) {
    this.statuses = catalogue.statuses.map(([code, name, words]) => ({ code, name, words }));
    this.statusOf = new Map(this.statuses.map((status) => [status.code, status]));
    this.severities = catalogue.severities;
    this.sections = catalogue.sections.map(([name, title]) => ({ name, title }));
    this.frameworks = catalogue.frameworks;
    this.sources = catalogue.sources;
    this.moves = catalogue.moves.map(([name, words]) => ({ name, words }));
    this.inside = catalogue.groups; // of the inventory
    this.controls = catalogue.controls;
    // The places of the controls in the benchmark; in a part of a run the first host does not have all of them.
    const ids = new Intl.Collator("en", { numeric: true });
    this.places = [];
    [...this.controls.entries()]
      .sort(([, a], [, b]) => ids.compare(a.id, b.id))
      .forEach(([c], place) => (this.places[c] = place));
    this.hosts = records.map((record) => new Host(record));
    this.verdicts = records.flatMap((record) => record[6]).map((record) => new Verdict(record));
    for (const control of this.controls) {
      const requirements = control.mappings.flatMap(([framework, , ids]) => [this.frameworks[framework], ...ids]);
      const role = control.role ? control.role[0] : "";
      control.text = [control.id, control.slug, control.title, role, ...requirements].join(" ").toLowerCase();
    }
  }

  status(host, control) {
    return this.statusOf.get(host.statuses[control]);
  }

  title(host, control) {
    const { title, failing } = this.controls[control];
    return (["fail", "waived"].includes(this.status(host, control).name) && failing) || title;
  }

  verdict(host, control) {
    return this.verdicts[host.verdicts[control]];
  }

  // What became of a finding since the run before; undefined where it is as it was.
  move(host, control) {
    const moved = host.moves.get(control);
    return moved && { ...this.moves[moved.move], status: this.statusOf.get(moved.status), verdict: this.verdicts[moved.verdict] };
  }

  // Hosts that could not be reached, where there are others. They are a line each among the hosts: all their findings
  // are errors for one reason, and a line in each control would hide what fails.
  get unseen() {
    return (this.lost ??= this.hosts.length > 1 ? this.hosts.filter((host) => host.unreachable) : []);
  }

  // Whether a host that was looked at has a finding of such a status.
  has(status) {
    const codes = this.statuses.filter(({ name }) => status.includes(name)).map(({ code }) => code);
    const unseen = new Set(this.unseen);
    return this.hosts.some((host) => !unseen.has(host) && codes.some((code) => host.statuses.includes(code)));
  }

  // Calls visit(host index, control index) for each finding that the filter lets through, host by host.
  select(filter, visit) {
    const codes = new Set(this.statuses.filter(({ name }) => filter.status.has(name)).map(({ code }) => code));
    const text = filter.text.trim().toLowerCase();
    const section = this.sections.findIndex(({ name }) => name === filter.section);
    const wanted = this.controls.map(
      (control) =>
        filter.severity.has(control.severity) &&
        (section < 0 || control.section === section) &&
        (!filter.control || control.slug === filter.control),
    );
    const controlHas = this.controls.map((control) => control.text.includes(text));
    const move = this.moves.findIndex(({ name }) => name === filter.moved);
    const inside = this.inside.indexOf(filter.inside);
    const unseen = new Set(filter.host || ["host", "inventory"].includes(filter.group) ? [] : this.unseen);
    this.hosts.forEach((host, h) => {
      if (unseen.has(host) || (filter.host && host.name !== filter.host)) return;
      if (filter.inside && !host.groups.includes(inside)) return;
      const hostHas = host.name.toLowerCase().includes(text);
      for (let c = 0; c < host.statuses.length; c++) {
        if (!wanted[c] || !codes.has(host.statuses[c])) continue;
        if (filter.moved && !(move < 0 ? host.moves.has(c) : host.moves.get(c)?.move === move)) continue;
        if (hostHas || controlHas[c] || this.verdict(host, c).matches(text)) visit(h, c);
      }
    });
  }

  // The findings by control, by host or by the requirements of a framework:
  // [{key, findings: [[h, c] …], moves: [number by move], counts}].
  // Counts are of all findings of the group, so that what is filtered away is still seen in its bar.
  groups(filter) {
    const groups = new Map();
    const keys = this.keys(filter.group, this.inside.indexOf(filter.inside));
    this.select(filter, (h, c) => {
      for (const key of keys(h, c)) {
        let group = groups.get(key);
        if (!group) groups.set(key, (group = { key, findings: [], moves: [] }));
        group.findings.push([h, c]);
        const moved = this.hosts[h].moves.get(c);
        if (moved) group.moves[moved.move] = (group.moves[moved.move] ?? 0) + 1;
      }
    });
    this.hosts.forEach((host, h) => {
      for (let c = 0; c < host.statuses.length; c++) {
        if (host.statuses[c] === "-") continue;
        for (const key of keys(h, c)) {
          const group = groups.get(key);
          if (!group) continue;
          group.counts ??= new Map();
          group.counts.set(host.statuses[c], (group.counts.get(host.statuses[c]) ?? 0) + 1);
        }
      }
    });
    const severity = this.controls.map((control) => this.severities.indexOf(control.severity));
    for (const group of groups.values())
      group.findings.sort(([h, c], [i, d]) => severity[c] - severity[d] || this.places[c] - this.places[d] || h - i);
    return [...groups.values()].sort(this.order(filter.group, severity));
  }

  // All findings of one control by status, as the counts of a group.
  counts(control) {
    const counts = new Map();
    for (const host of this.hosts) {
      const code = host.statuses[control];
      if (code && code !== "-") counts.set(code, (counts.get(code) ?? 0) + 1);
    }
    return counts;
  }

  // All findings of one host by status.
  countsOf(host) {
    const counts = new Map();
    for (const code of this.hosts[host].statuses.replaceAll("-", "")) counts.set(code, (counts.get(code) ?? 0) + 1);
    return counts;
  }

  keys(by, inside) {
    if (by === "control") return (h, c) => [c];
    if (by === "host") return (h) => [h];
    if (by === "inventory") return (h) => this.hosts[h].groups.filter((group) => inside < 0 || group === inside);
    const requirements = this.controls.map((control) =>
      control.mappings.filter(([framework]) => framework === by).flatMap(([, , ids]) => ids),
    );
    return (h, c) => requirements[c];
  }

  // Controls by severity, hosts by what fails there, requirements by their numbers.
  order(by, severity) {
    if (by === "control") return (a, b) => severity[a.key] - severity[b.key] || this.places[a.key] - this.places[b.key];
    if (by === "host") {
      const tolls = this.hosts.map((host) => {
        const toll = this.severities.map(() => 0);
        this.controls.forEach((_, c) => this.status(host, c)?.name === "fail" && toll[severity[c]]++);
        return toll;
      });
      return (a, b) => {
        const [mine, other] = [tolls[a.key], tolls[b.key]];
        const different = mine.findIndex((number, s) => number !== other[s]);
        return different < 0 ? a.key - b.key : other[different] - mine[different];
      };
    }
    if (by === "inventory") return (a, b) => this.inside[a.key].localeCompare(this.inside[b.key], "en", { numeric: true });
    return (a, b) => a.key.localeCompare(b.key, "en", { numeric: true });
  }
}

// What is looked at. It is in the page's address, so that a view can be linked to and the back button works.
class Filter {
  constructor(run, address) {
    // The place of a control or a section in the page without a script is a view of it here.
    const place = /^#(control|section)-(.+)$/.exec(address);
    const values = new URLSearchParams(place ? "" : address.replace(/^#/, ""));
    if (place?.[1] === "control") values.set("control", place[2]);
    if (place?.[1] === "section") {
      values.set("section", run.sections[Number(place[2])]?.name ?? "");
      values.set("status", run.statuses.map(({ name }) => name).join(","));
    }
    const chosen = (name, all, otherwise) => {
      const given = values.has(name) ? values.get(name).split(",") : otherwise;
      return new Set(all.filter((each) => given.includes(each)));
    };
    const status = run.statuses.map(({ name }) => name);
    const groups = ["control", "host", "inventory", ...Object.keys(run.frameworks)];
    const one = (name, all) => (all.includes(values.get(name)) ? values.get(name) : "");
    this.group = groups.includes(values.get("group")) ? values.get("group") : Filter.group(run);
    this.inside = one("inside", run.inside);
    this.host = one("host", run.hosts.map(({ name }) => name));
    this.control = one("control", run.controls.map(({ slug }) => slug));
    this.status = chosen("status", status, this.host || this.control ? status : Filter.initial(run));
    this.severity = chosen("severity", run.severities, run.severities);
    this.section = run.sections.some(({ name }) => name === values.get("section")) ? values.get("section") : "";
    this.moved = ["any", ...run.moves.map(({ name }) => name)].includes(values.get("moved")) ? values.get("moved") : "";
    this.text = values.get("text") ?? "";
  }

  // Controls, but where nothing is open except that hosts could not be reached, these.
  static group(run) {
    return run.unseen.length && !run.has(DEFAULT_STATUS) ? "host" : "control";
  }

  // What is open; everything where nothing is.
  static initial(run) {
    return run.unseen.length || run.has(DEFAULT_STATUS) ? DEFAULT_STATUS : run.statuses.map(({ name }) => name);
  }

  address(run) {
    const values = new URLSearchParams();
    const initial = this.host || this.control ? run.statuses.map(({ name }) => name) : Filter.initial(run);
    if (this.group !== Filter.group(run)) values.set("group", this.group);
    if (this.status.size !== initial.length || initial.some((each) => !this.status.has(each)))
      values.set("status", [...this.status].join(","));
    if (this.severity.size !== run.severities.length) values.set("severity", [...this.severity].join(","));
    if (this.inside) values.set("inside", this.inside);
    if (this.host) values.set("host", this.host);
    if (this.control) values.set("control", this.control);
    if (this.section) values.set("section", this.section);
    if (this.moved) values.set("moved", this.moved);
    if (this.text) values.set("text", this.text);
    return `#${values}`;
  }
}

