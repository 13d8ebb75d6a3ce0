/** The view Server: what it has, how busy it is, and who uses it. */

import { useEffect } from "preact/hooks";
import type { ModelInfo } from "scotoma/v1";

import { Chart, type Series } from "../draw/chart";
import { percent, written } from "../draw/scale";
import type { History } from "../metrics/history";
import { failed, history, readings, watch } from "../metrics/poll";
import { by, type Metrics, sum } from "../metrics/prometheus";
import { models } from "../state/server";
import { Notice } from "../ui/notice";
import "../styles/server.css";

/** Seconds that quantiles and shares are over. */
const WINDOW = 60;

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

function counts(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return Number.isInteger(value) || value >= 1e4 ? compact.format(value) : written(value);
}

function seconds(value: number): string {
  if (!Number.isFinite(value)) return "–";
  return value < 1 ? `${written(1000 * value)} ms` : `${written(value)} s`;
}

function bytes(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const unit = ["B", "KiB", "MiB", "GiB", "TiB"];
  const power = value < 1 ? 0 : Math.min(unit.length - 1, Math.floor(Math.log2(value) / 10));
  return `${written(value / 2 ** (10 * power))} ${unit[power]}`;
}

function span(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const [days, hours, minutes] = [Math.floor(value / 86400), Math.floor((value % 86400) / 3600), Math.floor((value % 3600) / 60)];
  return days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${minutes} min` : minutes > 0 ? `${minutes} min` : `${Math.floor(value)} s`;
}

export function ServerView() {
  useEffect(watch, []);
  readings.value;
  const latest = history.latest?.metrics;
  return (
    <div class="stack server">
      {failed.value !== "" && (
        <Notice kind="warning" title="No metrics">
          {failed.value}. Trying again every two seconds.
        </Notice>
      )}
      {latest !== undefined && (
        <>
          <Tiles metrics={latest} history={history} />
          <Charts history={history} />
          <Budgets metrics={latest} />
          <Models metrics={latest} />
          <Keys metrics={latest} />
          <p class="faint">
            Read from <a href="./metrics">/metrics</a>, which is for Prometheus, every two seconds while this page is seen; ten minutes are kept here.
            Quantiles and shares are over the last minute.
          </p>
        </>
      )}
    </div>
  );
}

/** The numbers that an operator looks at first. */
function Tiles({ metrics, history: past }: { metrics: Metrics; history: History }) {
  const build = metrics.get("scotoma_build_info")?.[0]?.labels;
  const start = sum(metrics, "process_start_time_seconds") ?? NaN;
  const last = (values: number[]) => values.at(-1) ?? NaN;
  const requests = last(past.rate("scotoma_requests_total"));
  const tokens = last(past.rate("scotoma_generation_tokens_total"));
  const reused = last(past.portion("scotoma_rows_reused_total", "scotoma_rows_computed_total", WINDOW));
  const failures = [...by(metrics, "scotoma_steps_failed_total", "kind").values()].reduce((a, b) => a + b, 0);
  const tiles: [string, string][] = [
    ["version", `${build?.["version"] ?? "?"} (${build?.["features"] ?? "?"})`],
    ["up for", span((past.latest?.at ?? 0) / 1000 - start)],
    ["requests a second", counts(requests)],
    ["tokens a second", counts(tokens)],
    ["rows reused", percent(reused)],
    ["running, waiting", `${counts(sum(metrics, "scotoma_requests_running") ?? NaN)}, ${counts(sum(metrics, "scotoma_requests_waiting") ?? NaN)}`],
    ["memory", bytes(sum(metrics, "process_resident_memory_bytes") ?? NaN)],
    ["failed steps", counts(failures)],
  ];
  return (
    <dl class="tiles">
      {tiles.map(([name, value]) => (
        <div key={name} class="card">
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Charts({ history: past }: { history: History }) {
  const { times } = past;
  const rates = (name: string, label: string): Series[] => {
    const all = past.values(name, label).map((value) => ({ name: value, values: past.rate(name, { [label]: value }) }));
    // Those that came while this page was looking.
    return all.filter(({ values }) => values.some((value) => value > 0));
  };
  const quantiles = (name: string): Series[] =>
    ([["median", 0.5], ["95 %", 0.95], ["99 %", 0.99]] as const).map(([one, share]) => ({ name: one, values: past.quantile(name, share, WINDOW) }));
  const devices = past.values("scotoma_device_utilization_ratio", "device");
  const empty: Series[] = [{ name: "Ok", values: times.map(() => 0) }];
  const codes = rates("scotoma_requests_total", "code");
  return (
    <div class="charts">
      <ChartCard label="Requests a second, by code" times={times} series={codes.length === 0 ? empty : codes} write={counts} />
      <ChartCard label="Time of a request" times={times} series={quantiles("scotoma_request_duration_seconds")} write={seconds} />
      <ChartCard label="Time to the first token" times={times} series={quantiles("scotoma_time_to_first_token_seconds")} write={seconds} />
      <ChartCard label="Between two tokens" times={times} series={quantiles("scotoma_inter_token_latency_seconds")} write={seconds} />
      <ChartCard
        label="Requests at once"
        times={times}
        write={counts}
        series={[
          { name: "running", values: past.gauge("scotoma_requests_running") },
          { name: "waiting", values: past.gauge("scotoma_requests_waiting") },
        ]}
      />
      <ChartCard
        label="Rows a second"
        times={times}
        write={counts}
        series={[
          { name: "computed", values: past.rate("scotoma_rows_computed_total") },
          { name: "reused", values: past.rate("scotoma_rows_reused_total") },
        ]}
      />
      <ChartCard
        label="Caches that had it"
        times={times}
        write={percent}
        most={1}
        series={[
          { name: "pictures", values: past.portion("scotoma_image_cache_hits_total", "scotoma_image_cache_misses_total", WINDOW) },
          { name: "prompts", values: past.portion("scotoma_prefix_cache_hits_total", "scotoma_prefix_cache_misses_total", WINDOW) },
        ]}
      />
      <ChartCard
        label="Memory"
        times={times}
        write={bytes}
        binary
        series={[
          { name: "process", values: past.gauge("process_resident_memory_bytes") },
          { name: "keys and values", values: past.gauge("scotoma_kv_cache_bytes") },
          { name: "encoded pictures", values: past.gauge("scotoma_image_cache_bytes") },
          { name: "checkpoints", values: past.gauge("scotoma_checkpoint_bytes") },
        ]}
      />
      {devices.length > 0 && (
        <>
          <ChartCard
            label="GPUs at work"
            times={times}
            write={percent}
            most={1}
            series={devices.map((device) => ({ name: device, values: past.gauge("scotoma_device_utilization_ratio", { device }) }))}
          />
          <ChartCard
            label="Memory of GPUs"
            times={times}
            write={bytes}
            binary
            most={sum(past.latest!.metrics, "scotoma_device_memory_bytes") ?? 0}
            series={devices.map((device) => ({ name: device, values: past.gauge("scotoma_device_memory_used_bytes", { device }) }))}
          />
        </>
      )}
    </div>
  );
}

function ChartCard(props: { label: string; times: number[]; series: Series[]; write: (value: number) => string; most?: number; binary?: boolean }) {
  return (
    <section class="card">
      <Chart {...props} />
    </section>
  );
}

/** Budgets that count bytes; the others count pixels, connections, requests. */
const IN_BYTES = new Set(["message_bytes", "unread_bytes", "uploads", "kept_activations", "replays", "models"]);

function Budgets({ metrics }: { metrics: Metrics }) {
  const [used, limits] = [by(metrics, "scotoma_budget_used", "budget"), by(metrics, "scotoma_budget_limit", "budget")];
  const names = [...limits.keys()].filter((name) => (limits.get(name) ?? 0) > 0).sort();
  if (names.length === 0) return null;
  return (
    <section class="card stack">
      <h2>Budgets</h2>
      <div class="budgets">
        {names.map((name) => {
          const [now, most] = [used.get(name) ?? 0, limits.get(name) ?? 0];
          const write = IN_BYTES.has(name) ? bytes : counts;
          const text = name.replaceAll("_", " ");
          return (
            <div key={name} class={now / most > 0.9 ? "full" : ""}>
              <span>{text}</span>
              <meter aria-label={text} min={0} max={most} high={0.9 * most} value={now} />
              <span class="number">
                {write(now)} of {write(most)}
              </span>
            </div>
          );
        })}
      </div>
    </section>
  );
}

function Models({ metrics }: { metrics: Metrics }) {
  const asked = by(metrics, "scotoma_requests_total", "model");
  const loading = by(metrics, "scotoma_model_load_duration_seconds", "model");
  return (
    <section class="card stack">
      <h2>Models</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="Models">
        <table>
          <thead>
            <tr>
              {["name", "family", "type", "device"].map((name) => (
                <th key={name} scope="col">
                  {name}
                </th>
              ))}
              {["parameters", "bytes", "tower", "language model", "loaded in", "requests"].map((name) => (
                <th key={name} scope="col" class="number">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {models.value.map((model) => (
              <tr key={model.name}>
                <th scope="row">{model.name}</th>
                <td>{model.family}</td>
                <td>{model.dtype}</td>
                <td>{model.device}</td>
                <td class="number">{millions(Number(model.parameters))}</td>
                <td class="number">{bytes(Number(model.residentBytes))}</td>
                <td class="number">{stack(model.visionTower)}</td>
                <td class="number">{stack(model.languageModel)}</td>
                <td class="number">{seconds(loading.get(model.name) ?? NaN)}</td>
                <td class="number">{asked.get(model.name) ?? 0}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

const millions = (count: number) => (count >= 1e9 ? `${written(count / 1e9)} G` : `${written(count / 1e6)} M`);

const stack = (info: ModelInfo["languageModel"]) => (info === undefined ? "–" : `${info.layers} × ${info.width}`);

/** Who used how much, where the server counts that. */
function Keys({ metrics }: { metrics: Metrics }) {
  const requests = by(metrics, "scotoma_key_requests_total", "key");
  const of = (kind: string) => {
    const sums = new Map<string, number>();
    for (const { labels, value } of metrics.get("scotoma_key_rows_total") ?? []) {
      if (labels["kind"] === kind) sums.set(labels["key"] ?? "", (sums.get(labels["key"] ?? "") ?? 0) + value);
    }
    return sums;
  };
  const failures = new Map<string, number>();
  for (const { labels, value } of metrics.get("scotoma_key_requests_total") ?? []) {
    if (labels["code"] !== "Ok") failures.set(labels["key"] ?? "", (failures.get(labels["key"] ?? "") ?? 0) + value);
  }
  const [computed, reused] = [of("computed"), of("reused")];
  const names = [...new Set([...requests.keys(), ...computed.keys()])].sort((a, b) => (computed.get(b) ?? 0) - (computed.get(a) ?? 0));
  const all = [...computed.values()].reduce((a, b) => a + b, 0);
  return (
    <section class="card stack">
      <h2>Keys</h2>
      {names.length === 0 ? (
        <p class="faint">
          Started with <code>--metrics-by-key</code>, the server counts requests and rows by the name of the key; they stand here then.
        </p>
      ) : (
        <div class="scroll" tabIndex={0} role="region" aria-label="Keys">
          <table>
            <thead>
              <tr>
                <th scope="col">key</th>
                {["requests", "not answered", "rows computed", "share", "rows reused"].map((name) => (
                  <th key={name} scope="col" class="number">
                    {name}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {names.map((name) => (
                <tr key={name}>
                  <th scope="row">{name === "" ? "(none)" : name}</th>
                  <td class="number">{requests.get(name) ?? 0}</td>
                  <td class="number">{failures.get(name) ?? 0}</td>
                  <td class="number">{(computed.get(name) ?? 0).toLocaleString("en")}</td>
                  <td class="number">{percent((computed.get(name) ?? 0) / all)}</td>
                  <td class="number">{(reused.get(name) ?? 0).toLocaleString("en")}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}
