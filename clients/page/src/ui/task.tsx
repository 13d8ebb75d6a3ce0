/** Shows how far a task is, with a way to end it, and what it failed of. */

import type { Task } from "../look/task";
import { ErrorNotice } from "./notice";

export function TaskState({ task, name }: { task: Task; name: string }) {
  const progress = task.progress.value;
  const error = task.error.value;
  return (
    <>
      {progress !== undefined && (
        <div class="task row">
          <span>
            {progress.what}
            {progress.total > 0 && ` ${progress.done} / ${progress.total}`}
          </span>
          <progress aria-label={name} max={progress.total || undefined} value={progress.total > 0 ? progress.done : undefined} />
          <button type="button" class="small" onClick={() => task.cancel()}>
            Cancel
          </button>
        </div>
      )}
      {error !== undefined && <ErrorNotice error={error} />}
    </>
  );
}
