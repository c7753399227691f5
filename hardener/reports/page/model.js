"use strict";

// What the page knows: the findings of a run, and which of them are looked at. No element is touched here but the
// two data blocks. A finding is a pair of a host and a control; texts are made safe to show before they get here.

const DEFAULT_STATUS = ["fail", "error"];

// A host is [name, collected, facts, unreachable, statuses, verdicts, new verdicts]: one letter and one number a
// control. A verdict is written once, in the record of the first host that has it, and numbered in that order.
class Host {
  constructor([name, collected, facts, unreachable, statuses, verdicts]) {
    Object.assign(this, { name, collected, facts, unreachable, statuses, verdicts });
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
    this.controls = catalogue.controls;
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

  verdict(host, control) {
    return this.verdicts[host.verdicts[control]];
  }

  // Calls visit(host index, control index) for each finding that the filter lets through, host by host.
  select(filter, visit) {
    const codes = new Set(this.statuses.filter(({ name }) => filter.status.has(name)).map(({ code }) => code));
    const text = filter.text.trim().toLowerCase();
    const section = this.sections.findIndex(({ name }) => name === filter.section);
    const wanted = this.controls.map(
      (control) => filter.severity.has(control.severity) && (section < 0 || control.section === section),
    );
    const controlHas = this.controls.map((control) => control.text.includes(text));
    this.hosts.forEach((host, h) => {
      const hostHas = host.name.toLowerCase().includes(text);
      for (let c = 0; c < host.statuses.length; c++) {
        if (!wanted[c] || !codes.has(host.statuses[c])) continue;
        if (hostHas || controlHas[c] || this.verdict(host, c).matches(text)) visit(h, c);
      }
    });
  }

  // The findings by control, by host or by the requirements of a framework: [{key, findings: [[h, c] …], counts}].
  // Counts are of all findings of the group, so that what is filtered away is still seen in its bar.
  groups(filter) {
    const groups = new Map();
    const keys = this.keys(filter.group);
    this.select(filter, (h, c) => {
      for (const key of keys(h, c)) {
        let group = groups.get(key);
        if (!group) groups.set(key, (group = { key, findings: [] }));
        group.findings.push([h, c]);
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
      group.findings.sort(([h, c], [i, d]) => severity[c] - severity[d] || c - d || h - i);
    return [...groups.values()].sort(this.order(filter.group, severity));
  }

  keys(by) {
    if (by === "control") return (h, c) => [c];
    if (by === "host") return (h) => [h];
    const requirements = this.controls.map((control) =>
      control.mappings.filter(([framework]) => framework === by).flatMap(([, , ids]) => ids),
    );
    return (h, c) => requirements[c];
  }

  // Controls by severity, hosts by what fails there, requirements by their numbers.
  order(by, severity) {
    if (by === "control") return (a, b) => severity[a.key] - severity[b.key] || a.key - b.key;
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
    return (a, b) => a.key.localeCompare(b.key, "en", { numeric: true });
  }
}

// What is looked at. It is in the page's address, so that a view can be linked to and the back button works.
class Filter {
  constructor(run, address) {
    const values = new URLSearchParams(address.replace(/^#/, ""));
    const chosen = (name, all, otherwise) => {
      const given = values.has(name) ? values.get(name).split(",") : otherwise;
      return new Set(all.filter((each) => given.includes(each)));
    };
    const status = run.statuses.map(({ name }) => name);
    const groups = ["control", "host", ...Object.keys(run.frameworks)];
    this.group = groups.includes(values.get("group")) ? values.get("group") : "control";
    this.status = chosen("status", status, Filter.initial(run));
    this.severity = chosen("severity", run.severities, run.severities);
    this.section = run.sections.some(({ name }) => name === values.get("section")) ? values.get("section") : "";
    this.text = values.get("text") ?? "";
  }

  // What is open; everything where nothing is.
  static initial(run) {
    const open = run.statuses.filter(({ name }) => DEFAULT_STATUS.includes(name));
    const any = run.hosts.some((host) => open.some(({ code }) => host.statuses.includes(code)));
    return any ? DEFAULT_STATUS : run.statuses.map(({ name }) => name);
  }

  address(run) {
    const values = new URLSearchParams();
    const initial = Filter.initial(run);
    if (this.group !== "control") values.set("group", this.group);
    if (this.status.size !== initial.length || initial.some((each) => !this.status.has(each)))
      values.set("status", [...this.status].join(","));
    if (this.severity.size !== run.severities.length) values.set("severity", [...this.severity].join(","));
    if (this.section) values.set("section", this.section);
    if (this.text) values.set("text", this.text);
    return `#${values}`;
  }
}

