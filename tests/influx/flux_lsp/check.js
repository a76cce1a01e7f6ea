// Reads a JSON list of Flux scripts from stdin; writes, for each, whether InfluxData's parser and type
// checker accept it, and what its string literals mean, in order.
const flux = require("@influxdata/flux-lsp-node");

function strings(node, found) {
  if (Array.isArray(node)) node.forEach((part) => strings(part, found));
  else if (node && typeof node === "object") {
    if (node.type === "StringLiteral") found.push(node.value);
    else Object.values(node).forEach((part) => strings(part, found));
  }
  return found;
}

const scripts = JSON.parse(require("fs").readFileSync(0, "utf8"));
const verdicts = scripts.map((script) => ({
  valid: flux.is_valid_flux(script),
  strings: strings(flux.parse(script), []),
}));
process.stdout.write(JSON.stringify(verdicts));
