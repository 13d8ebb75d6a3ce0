/** The grid of patches over the picture: click, drag, or arrow keys and space. */

import { useRef, useState } from "preact/hooks";

import { hidden, hide } from "../state/hiding";
import type { Seen } from "../state/preview";

const MOVES: Record<string, [number, number]> = {
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
};

/** Returns the patch under a pointer. */
function patchAt({ clientX, clientY }: PointerEvent): number | undefined {
  const at = document.elementFromPoint(clientX, clientY)?.closest("[data-patch]")?.getAttribute("data-patch");
  return at === null || at === undefined ? undefined : Number(at);
}

function within(value: number, count: number): number {
  return Math.min(count - 1, Math.max(0, value));
}

export function PatchGrid({ seen, name }: { seen: Seen; name: string }) {
  const { gridRows: rows, gridColumns: columns } = seen;
  const [cursor, setCursor] = useState(0);
  const grid = useRef<HTMLDivElement>(null);
  // Whether a drag hides or shows; undefined while there is none.
  const stroke = useRef<boolean | undefined>(undefined);

  const focus = (patch: number) => {
    setCursor(patch);
    grid.current?.querySelector<HTMLElement>(`[data-patch="${patch}"]`)?.focus({ preventScroll: true });
  };
  const keyed = (event: KeyboardEvent) => {
    const [row, column] = [Math.floor(cursor / columns), cursor % columns];
    const by = MOVES[event.key];
    if (event.key === " " || event.key === "Enter") hide([cursor], !hidden.value.has(cursor));
    else if (event.key === "Home") focus(row * columns);
    else if (event.key === "End") focus(row * columns + columns - 1);
    else if (by !== undefined) {
      const next = within(row + by[0], rows) * columns + within(column + by[1], columns);
      // With shift the patches that the cursor passes take the state of the one it left.
      if (event.shiftKey) hide([next], hidden.value.has(cursor));
      focus(next);
    } else return;
    event.preventDefault();
  };
  const down = (event: PointerEvent) => {
    const patch = patchAt(event);
    if (patch === undefined || event.button !== 0) return;
    event.preventDefault();
    stroke.current = !hidden.value.has(patch);
    hide([patch], stroke.current);
    focus(patch);
    grid.current?.setPointerCapture(event.pointerId);
  };
  const drawn = (event: PointerEvent) => {
    const patch = stroke.current === undefined ? undefined : patchAt(event);
    if (patch !== undefined && hidden.value.has(patch) !== stroke.current) hide([patch], stroke.current === true);
  };
  const up = () => (stroke.current = undefined);
  const style = { gridTemplateColumns: `repeat(${columns}, 1fr)`, gridTemplateRows: `repeat(${rows}, 1fr)` };
  return (
    <div class="seen" style={{ aspectRatio: `${seen.width} / ${seen.height}` }}>
      <img src={seen.url} alt={`${name}, as the model sees it`} class={seen.width < 300 ? "pixelated" : ""} draggable={false} />
      <div
        ref={grid}
        class="patches"
        role="grid"
        aria-label="Patches: space hides or shows one, arrow keys move, with shift they draw"
        aria-multiselectable="true"
        aria-rowcount={rows}
        aria-colcount={columns}
        style={style}
        onKeyDown={keyed}
        onPointerDown={down}
        onPointerMove={drawn}
        onPointerUp={up}
        onPointerCancel={up}
      >
        {Array.from({ length: rows }, (_, row) => (
          <div key={row} role="row" class="patch-row">
            {Array.from({ length: columns }, (_, column) => {
              const patch = row * columns + column;
              const isHidden = hidden.value.has(patch);
              return (
                <div
                  key={column}
                  role="gridcell"
                  data-patch={patch}
                  class="patch"
                  aria-selected={isHidden}
                  aria-label={`Row ${row + 1}, column ${column + 1}${isHidden ? ", hidden" : ""}`}
                  tabIndex={patch === cursor ? 0 : -1}
                  title={`Patch ${patch}`}
                />
              );
            })}
          </div>
        ))}
      </div>
    </div>
  );
}
