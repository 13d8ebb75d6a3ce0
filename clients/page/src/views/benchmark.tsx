/** The view Benchmark: a table becomes a wall of questions, of which some are kept. */

import { useState } from "preact/hooks";

import { chosen, dropped } from "../items/drop";
import { readTask, table, take, takeSamples } from "../items/state";
import { TaskState } from "../ui/task";
import { AskPanel } from "./benchmark/ask";
import { Wall } from "./benchmark/wall";
import "../styles/benchmark.css";

export { ReportView } from "./report";

export function BenchmarkView() {
  return (
    <div class="stack benchmark">
      <Drop small={table.value !== undefined} />
      <TaskState task={readTask} name="Reading the table" />
      {table.value !== undefined && (
        <>
          <AskPanel />
          <Wall />
        </>
      )}
    </div>
  );
}

function Drop({ small }: { small: boolean }) {
  const [over, setOver] = useState(false);
  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer !== null) void dropped(event.dataTransfer).then(take);
  };
  return (
    <section
      class={`card drop ${over ? "over" : ""} ${small ? "small" : ""}`}
      aria-label="Table"
      onDragOver={(event) => {
        event.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={onDrop}
    >
      {!small && (
        <>
          <h2>Drop a table of questions here</h2>
          <p>
            TSV, CSV, JSONL or Parquet, with the columns of Hugging Face or VLMEvalKit; pictures in the table, or beside it as files or a folder. It
            stays on this machine: rows go to the server when they are asked.
          </p>
        </>
      )}
      <div class="row">
        {small && (
          <span>
            <b>{table.value?.name}</b> · {table.value?.rows.length} questions
          </span>
        )}
        <label class={`button ${small ? "small" : "primary"}`}>
          {small ? "Another table" : "Choose files"}
          <input
            type="file"
            class="unseen"
            multiple
            accept=".tsv,.csv,.jsonl,.parquet,image/*"
            aria-label={small ? "Another table" : "Choose files"}
            onChange={(event) => {
              void take(chosen(event.currentTarget.files ?? []));
              event.currentTarget.value = "";
            }}
          />
        </label>
        {!small && (
          <button type="button" onClick={() => void takeSamples()}>
            Try it with the samples
          </button>
        )}
      </div>
    </section>
  );
}
