/** The view Ask & change. */

export function AskView() {
  return <p>Nothing is here yet.</p>;
}
