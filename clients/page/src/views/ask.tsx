/** The view Ask & change: a picture and a question, the changes, both answers, and what to take along. */

import { useEffect } from "preact/hooks";

import { AnswersCard } from "../ask/answers";
import { ChangesCard } from "../ask/changes";
import { PictureCard } from "../ask/picture";
import { QuestionCard } from "../ask/question";
import { open } from "../carry/reopen";
import { askAsThingsChange } from "../state/answers";
import { previewAsThingsChange } from "../state/preview";
import { standing } from "../state/server";
import { lazy } from "../ui/lazy";

/** Below the answers, so that they wait for it no longer than the reader does. */
const CarryCard = lazy(async () => (await import("../carry/card")).CarryCard);

export function AskView() {
  useEffect(() => {
    void open();
    const stops = [previewAsThingsChange(), askAsThingsChange()];
    return () => stops.forEach((stop) => stop());
  }, []);
  return (
    <div class="ask" aria-busy={standing.value.is === "connecting"}>
      <p class="lead">
        Ask a model about a picture. Then <strong>take something away from it</strong>: hide patches of the picture, shuffle what it sees, skip its layers. Both
        answers stand side by side, so you see what it still sees.
      </p>
      <div class="ask-left stack">
        <PictureCard />
        <QuestionCard />
      </div>
      <div class="ask-right stack">
        <AnswersCard />
        <ChangesCard />
        <CarryCard />
      </div>
    </div>
  );
}
