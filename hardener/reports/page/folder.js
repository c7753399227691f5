"use strict";

// Finds hosts by name or group among those that are listed. Without it the whole list is there.

const table = document.querySelector("table.hosts");
const label = document.createElement("label");
const words = document.createElement("span");
words.textContent = "Search";
const field = document.createElement("input");
field.type = "search";
label.append(words, field);
table.before(label);
const rows = [...table.tBodies[0].rows].map((row) => [row, row.textContent.toLowerCase()]);
field.addEventListener("input", () => {
  const wanted = field.value.trim().toLowerCase();
  for (const [row, text] of rows) row.hidden = !text.includes(wanted);
});
