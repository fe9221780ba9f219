// Checks an AsyncAPI description and the schemas it refers to, with the parser behind AsyncAPI's own
// tools. Needs no network and sends no telemetry.
//   node scripts/check-asyncapi.mjs FILE
import { readFile } from 'node:fs/promises';
import { Parser } from '@asyncapi/parser';

const [, , file] = process.argv;
if (!file) {
  console.error('Usage: node scripts/check-asyncapi.mjs FILE');
  process.exit(2);
}

// Severities of the parser: 0 is an error, 1 a warning; higher values are hints.
const WARNING = 1;

const text = await readFile(file, 'utf8');
// References are resolved relative to the file.
const { document, diagnostics } = await new Parser().parse(text, { source: file });
const findings = diagnostics.filter((finding) => finding.severity <= WARNING);
for (const { message, path, source } of findings) {
  console.error(`${source ?? file}: ${path.join('.') || 'the document'}: ${message}`);
}
if (!document || findings.length > 0) {
  console.error(`${file} is not a valid AsyncAPI description`);
  process.exit(1);
}
const channels = document.channels().all().length;
const messages = document.components().messages().all().length;
const operations = document.operations().all().length;
if (channels === 0 || messages === 0 || operations === 0) {
  console.error(`${file} describes no channels, messages or operations`);
  process.exit(1);
}
console.log(`${file}: ${channels} channels, ${messages} messages, ${operations} operations.`);
