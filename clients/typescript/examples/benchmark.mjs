// A benchmark under interventions, as a table: node benchmark.mjs TABLE.tsv [RULE] [ADDRESS].
import { connect, dropLayers, occludeRandom, permuteTokens, rows } from "scotoma";

const [data, rule = "shapes", address = "127.0.0.1:7878"] = process.argv.slice(2);
const client = connect(address);
const variants = [
  { name: "original" },
  { name: "permuted", interventions: [permuteTokens(1)] },
  { name: "half occluded", interventions: [occludeRandom(0.5, 1)] },
  { name: "without layer 6", interventions: [dropLayers(6)] },
];
const run = await client.evaluate({ rules: { case: "rule", value: rule }, variants }, rows(data));
let answers = 0;
for await (const _ of run) process.stderr.write(`\r${++answers} answers`);
process.stderr.write("\n");
const percent = (value) => `${(100 * value).toFixed(1)} %`;
console.table(
  run.metrics.map(({ variant, name, value, low, high, n }) => {
    return { variant, metric: name, value: percent(value), "95 %": `${percent(low)} to ${percent(high)}`, n: Number(n) };
  }),
);
for (const { variant, difference, p } of run.finished.comparisons) {
  console.log(`${variant}: ${(100 * difference).toFixed(1)} points, McNemar's p ${p.toPrecision(2)}`);
}
client.close();
