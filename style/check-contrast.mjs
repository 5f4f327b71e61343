// Computes the contrast (WCAG 2.2) of every pair of colours that the style sheet puts together, in both themes, from
// the tokens in tailwind.css. Run: node style/check-contrast.mjs. Fails when a pair is too faint, when a colour lies
// outside sRGB (a browser would then show another one than was computed), or when a token is in no pair.
import { readFileSync } from "node:fs";

const sheet = readFileSync(new URL("tailwind.css", import.meta.url), "utf8");
const theme = sheet.slice(sheet.indexOf("@theme {"), sheet.indexOf("@font-face"));

const BODY = 7; // what people read
const TEXT = 4.5; // all other words
const SIGN = 3; // icons, and borders that mean something
const WASH = 1.05; // grounds that only have to be told apart

const surfaces = ["surface", "surface-raised", "surface-sunken", "surface-hover", "surface-float"];
const states = ["idle", "active", "done", "held", "failed", "stale"];
const pairs = [
  ...surfaces.flatMap((s) => [
    ["text", s, BODY],
    ["text-muted", s, TEXT],
    ["accent", s, TEXT],
    ["line-strong", s, SIGN],
    ...states.map((state) => [`status-${state}`, s, TEXT]),
  ]),
  ...states.flatMap((state) => [
    [`status-${state}`, `status-${state}-soft`, TEXT],
    ["text", `status-${state}-soft`, BODY],
    ["text-muted", `status-${state}-soft`, TEXT],
    [`status-${state}-soft`, "surface-raised", WASH],
    [`status-${state}`, "track", SIGN],
  ]),
  ["text", "accent-soft", BODY],
  ["accent", "accent-soft", TEXT],
  ["accent", "track", SIGN],
  ...["accent-fill", "accent-fill-hover", "danger-fill", "danger-fill-hover"].map((fill) => ["on-fill", fill, TEXT]),
  ["accent-fill", "surface-raised", SIGN],
  ["danger-fill", "surface-raised", SIGN],
  ["line", "surface-raised", 1.15],
];
// Lies over everything and is only dimmer than it.
const unpaired = new Set(["scrim"]);

const colour = String.raw`oklch\(([\d.]+) ([\d.]+) ([\d.]+)(?: / [\d.]+)?\)`;
const line = new RegExp(String.raw`--color-([a-z-]+): light-dark\(${colour}, ${colour}\);`, "g");
const tokens = new Map();
for (const [, name, ...n] of theme.matchAll(line)) {
  tokens.set(name, { light: n.slice(0, 3).map(Number), dark: n.slice(3).map(Number) });
}
const declared = theme.match(/--color-[a-z-]+: /g)?.length ?? 0;
const faults = [];
if (tokens.size === 0 || tokens.size !== declared) faults.push(`read ${tokens.size} of ${declared} colour tokens`);

/** Linear sRGB of an OKLCH colour (Ottosson's matrices). */
function linear([lightness, chroma, hue]) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
}
const luminance = (c) => {
  const [r, g, b] = linear(c).map((v) => Math.min(1, Math.max(0, v)));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
  return (x + 0.05) / (y + 0.05);
};

for (const [name, token] of tokens) {
  for (const mode of ["light", "dark"]) {
    if (linear(token[mode]).some((v) => v < -0.002 || v > 1.002)) faults.push(`${name} (${mode}) lies outside sRGB`);
  }
  if (!unpaired.has(name) && !pairs.some(([a, b]) => a === name || b === name)) faults.push(`${name} is in no pair`);
}
const closest = new Map();
for (const [front, ground, goal] of pairs) {
  for (const mode of ["light", "dark"]) {
    const [a, b] = [tokens.get(front), tokens.get(ground)];
    if (!a || !b) {
      faults.push(`no token ${a ? ground : front}`);
      continue;
    }
    const got = contrast(a[mode], b[mode]);
    if (got < goal) faults.push(`${front} on ${ground} (${mode}): ${got.toFixed(2)}, needs ${goal}`);
    const worst = closest.get(goal);
    if (!worst || got < worst.got) closest.set(goal, { got, what: `${front} on ${ground}, ${mode}` });
  }
}
for (const fault of faults) console.error(`contrast: ${fault}`);
for (const [goal, { got, what }] of [...closest].sort((a, b) => b[0] - a[0])) {
  console.log(`contrast: needs ${goal}, least ${got.toFixed(2)} (${what})`);
}
console.log(`contrast: ${tokens.size} colours, ${pairs.length * 2} pairs, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);
