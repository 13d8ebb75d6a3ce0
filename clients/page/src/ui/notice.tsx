/** Says what went wrong, or something to know. */

import type { ComponentChildren } from "preact";
import { Code, type ScotomaError } from "scotoma";

export function Notice(props: { kind: "error" | "warning" | "hint"; title?: string; children: ComponentChildren }) {
  return (
    <div class={`notice ${props.kind}`} role={props.kind === "error" ? "alert" : "status"}>
      {props.title !== undefined && <strong>{props.title}</strong>}
      <div>{props.children}</div>
    </div>
  );
}

/** Says an error in the server's words, with the fields that are to blame. */
export function ErrorNotice({ error }: { error: ScotomaError }) {
  const wait = error.retryAfter;
  return (
    <Notice kind="error" title={Code[error.code]?.replace(/(?!^)([A-Z])/g, " $1") ?? "Error"}>
      {error.fields.length === 0 && <p>{error.message}</p>}
      {error.fields.map(({ field, description }) => (
        <p key={field}>
          <code>{field}</code>: {description}
        </p>
      ))}
      {wait !== undefined && <p>Another try may help in {(wait / 1000).toFixed(1)} s.</p>}
      {error.requestId !== undefined && <p class="faint">Request {error.requestId}</p>}
    </Notice>
  );
}
