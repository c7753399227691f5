// What is listed as CSV, for spreadsheets: what looks like a formula there is made text, as in the CSV report.

const FORMULA = /(^|;)([\s"']*)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])/g;

function cell(text) {
  const inert = String(text).replace(FORMULA, "$1$2'");
  return /[",\r\n]/.test(inert) ? `"${inert.replaceAll('"', '""')}"` : inert;
}

function csv(run, filter) {
  const rows = [["host", "groups", "id", "slug", "section", "severity", "status", "title", "expected", "actual", "offenders"]];
  run.select(filter, (h, c) => {
    const [host, control, verdict] = [run.hosts[h], run.controls[c], run.verdict(run.hosts[h], c)];
    const rest = verdict.offending > verdict.offenders.length ? [`+${verdict.offending - verdict.offenders.length} more`] : [];
    const offenders = verdict.offenders.map(([kind, name, detail]) => `${kind} ${name}${detail ? `: ${detail}` : ""}`);
    rows.push([
      host.name,
      host.groups.map((group) => run.inside[group]).join(" "),
      control.id,
      control.slug,
      run.sections[control.section].name,
      control.severity,
      run.status(host, c).name,
      control.title,
      verdict.expected,
      verdict.actual,
      [...offenders, ...rest].join(" | "),
    ]);
  });
  return `\ufeff${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
}

function save(text, name) {
  const link = element("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

