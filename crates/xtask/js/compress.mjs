// Writes a brotli twin (`NAME.br`) beside each file of a folder that is worth it. Node does this because it is there
// anyway, for Tailwind, and has the encoder compiled in.
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { extname, join } from "node:path";
import { brotliCompressSync, constants } from "node:zlib";

const TEXT = new Set([".css", ".html", ".ico", ".js", ".json", ".svg", ".txt", ".wasm", ".webmanifest", ".xml"]);
const root = process.argv[2];

for (const name of readdirSync(root, { recursive: true })) {
  const path = join(root, name);
  if (!statSync(path).isFile() || !TEXT.has(extname(path))) continue;
  const bytes = readFileSync(path);
  const small = brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      // Browsers accept windows of up to 2^24; the WASM is larger than the default of 2^22.
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
      [constants.BROTLI_PARAM_MODE]:
        extname(path) === ".wasm" ? constants.BROTLI_MODE_GENERIC : constants.BROTLI_MODE_TEXT,
    },
  });
  if (small.length < bytes.length) writeFileSync(`${path}.br`, small);
  console.log(`${name} ${bytes.length} ${small.length}`);
}
