// Reads a JUnit file by two parsers of npm, and prints what each understood: suites, cases, failures, errors, skipped.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, file] = process.argv.slice(2);
const require = createRequire(`${modules}/package.json`);
const { parse } = await import(pathToFileURL(require.resolve("junit2json")));
const results = require("test-results-parser");

const suites = (await parse(readFileSync(file, "utf8"))).testsuite;
const cases = suites.flatMap((suite) => suite.testcase);
const having = (what) => cases.filter((each) => each[what] !== undefined).length;
const other = results.parse({ type: "junit", files: [file] });
console.log(
  JSON.stringify({
    junit2json: [suites.length, cases.length, having("failure"), having("error"), having("skipped")],
    "test-results-parser": [other.suites.length, other.total, other.failed, other.errors, other.skipped],
  }),
);
