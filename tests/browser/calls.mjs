// Calls functions of the page's scripts outside a browser: node calls.mjs EXPRESSION SCRIPT..., with ARGUMENT, which the
// expression may use, as JSON on standard input. Prints what it comes to as JSON.

import { readFileSync } from "node:fs";

const [expression, ...scripts] = process.argv.slice(2);
const source = scripts.map((each) => readFileSync(each, "utf8")).join("\n");
const AsyncFunction = (async () => {}).constructor;
const call = new AsyncFunction("ARGUMENT", `"use strict";\n${source}\nreturn (${expression});`);
process.stdout.write(JSON.stringify(await call(JSON.parse(readFileSync(0, "utf8")))));
