#!/usr/bin/env node
// The wasm compiler, kept alive: one standard-JSON input a line in, one output a line out. Loading and warming it up
// costs more than compiling one contract, which matters when a thousand mutants are compiled.
"use strict";
const path = require("path");
const readline = require("readline");
const solc = require(path.join(__dirname, "..", "..", "node_modules", "solc"));

readline.createInterface({ input: process.stdin, crlfDelay: Infinity }).on("line", (line) => {
  process.stdout.write(JSON.stringify(JSON.parse(solc.compile(line))) + "\n");
});
