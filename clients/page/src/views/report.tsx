/** The view Reports: what experiments have written, opened without a program of its own. */

import { signal } from "@preact/signals";
import { useState } from "preact/hooks";

import { Bars } from "../draw/bars";
import { csv } from "../draw/csv";
import { Downloads } from "../draw/heatmap";
import { chosen, dropped } from "../items/drop";
import { Task } from "../look/task";
import { type Block, mayBeReport, readReport, type Report } from "../reports/read";
import { Notice } from "../ui/notice";
import { TaskState } from "../ui/task";
import "../styles/benchmark.css";
import "../styles/report.css";

/** Rows of a table that are drawn. */
const MOST_ROWS = 500;
/** Files that are opened at once. */
const MOST_FILES = 60;

const reports = signal<Report[]>([]);
const open = signal(0);
/** What could not be read. */
const failures = signal<string[]>([]);
const task = new Task();

/** The order in which files of a folder are read: pages before their tables. */
const RANK = ["html", "md", "csv", "jsonl", "json", "svg", "png"];
const rank = (name: string) => RANK.indexOf(name.slice(name.lastIndexOf(".") + 1).toLowerCase());

async function take(files: ReadonlyMap<string, File>): Promise<void> {
  await task.run(async (abort, told) => {
    const own = [...files].filter(([name]) => mayBeReport(name)).sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
    if (own.length === 0) throw new Error("a report is needed: report.html, metrics.csv, results.jsonl, or the folder in which they are");
    const [read, failed]: [Report[], string[]] = [[], []];
    for (const [path, file] of own.slice(0, MOST_FILES)) {
      told("Reading", read.length, own.length);
      try {
        read.push({ ...(await readReport(file)), name: path });
      } catch (error) {
        failed.push(error instanceof Error ? error.message : String(error));
      }
    }
    if (own.length > MOST_FILES) failed.push(`${own.length - MOST_FILES} more files were not opened`);
    if (abort.aborted) return;
    [reports.value, failures.value, open.value] = [read, failed, 0];
  });
}

export function ReportView() {
  const own = reports.value;
  const shown = own[Math.min(open.value, own.length - 1)];
  return (
    <div class="stack reports">
      <Drop small={own.length > 0} />
      <TaskState task={task} name="Reading reports" />
      {failures.value.length > 0 && (
        <Notice kind="warning" title="Not everything could be read">
          {failures.value.map((one) => (
            <p key={one}>{one}</p>
          ))}
        </Notice>
      )}
      {own.length > 1 && (
        <nav class="row files" aria-label="Files">
          {own.map(({ name }, i) => (
            <button key={name} type="button" class="small" aria-pressed={i === open.value} onClick={() => (open.value = i)}>
              {name}
            </button>
          ))}
        </nav>
      )}
      {shown !== undefined && (
        <article class="card stack report" aria-label={shown.name}>
          {shown.blocks.map((block, i) => (
            <Part key={i} block={block} name={`${shown.name} ${i + 1}`} />
          ))}
          {shown.blocks.length === 0 && <p>Nothing can be read in it.</p>}
        </article>
      )}
    </div>
  );
}

function Part({ block, name }: { block: Block; name: string }) {
  switch (block.is) {
    case "heading":
      return block.level === 1 ? <h2 class="report-title">{block.text}</h2> : <h3>{block.text}</h3>;
    case "text":
      return <p>{block.text}</p>;
    case "code":
      return (
        <pre tabIndex={0} role="region" aria-label={name}>
          {block.text}
        </pre>
      );
    case "list":
      return (
        <ul>
          {block.lines.map((line, i) => (
            <li key={i}>{line}</li>
          ))}
        </ul>
      );
    case "picture":
      return <img class="report-picture" src={block.url} alt={block.about} />;
    case "bars":
      return <Bars name={block.name} bars={block.bars} />;
    case "table":
      return <Table {...block} name={name} />;
  }
}

function Table({ head, rows, name }: { head: string[]; rows: string[][]; name: string }) {
  return (
    <div class="stack">
      <div class="scroll report-table" tabIndex={0} role="region" aria-label={`Table: ${name}`}>
        <table>
          <thead>
            <tr>
              {head.map((one, i) => (
                <th key={i} scope="col">
                  {one}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.slice(0, MOST_ROWS).map((row, r) => (
              <tr key={r}>
                {row.map((cell, c) => (
                  <td key={c} class={/^[-−+]?[0-9.]+( %)?$/.test(cell) ? "number" : ""}>
                    {cell}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div class="row">
        {rows.length > MOST_ROWS && <span class="faint">The first {MOST_ROWS} of {rows.length} rows.</span>}
        <Downloads label={`Table ${name}`} csv={() => csv([head, ...rows])} />
      </div>
    </div>
  );
}

function Drop({ small }: { small: boolean }) {
  const [over, setOver] = useState(false);
  return (
    <section
      class={`card drop ${over ? "over" : ""} ${small ? "small" : ""}`}
      aria-label="Report"
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(event) => {
        event.preventDefault();
        setOver(false);
        if (event.dataTransfer !== null) void dropped(event.dataTransfer).then(take);
      }}
    >
      {!small && (
        <>
          <h2>Drop a report here</h2>
          <p>
            What <code>scotoma experiment</code>, <code>paper</code>, <code>items</code> and <code>eval</code> write: report.html, metrics.csv, items.csv,
            results.jsonl, plots, or the folder. Tables, texts and drawings are read; nothing of a file is run, and nothing leaves this page.
          </p>
        </>
      )}
      <label class={`button ${small ? "small" : "primary"}`}>
        {small ? "Another report" : "Choose files"}
        <input
          type="file"
          class="unseen"
          multiple
          accept=".html,.csv,.jsonl,.json,.md,.svg,.png"
          aria-label={small ? "Another report" : "Choose files"}
          onChange={(event) => {
            void take(chosen(event.currentTarget.files ?? []));
            event.currentTarget.value = "";
          }}
        />
      </label>
    </section>
  );
}
