/** Asks for the key of a server that needs one. */

import { useState } from "preact/hooks";

import { apiKey, unlock } from "../state/server";
import { Notice } from "./notice";

export function KeyForm({ why }: { why: string }) {
  const [key, setKey] = useState("");
  const submit = (event: Event) => {
    event.preventDefault();
    void unlock(key.trim());
  };
  return (
    <form class="card key" onSubmit={submit}>
      <h2>This server needs a key</h2>
      {apiKey.value !== "" && <Notice kind="error">{why}</Notice>}
      <p>Whoever runs it made one for you (scotoma key NAME). It stays in this tab until you close it.</p>
      <label for="key">Key</label>
      <div class="row">
        <input id="key" type="password" autocomplete="off" required value={key} onInput={(e) => setKey(e.currentTarget.value)} />
        <button type="submit" class="primary">
          Use it
        </button>
      </div>
    </form>
  );
}
