/** The view Look. */

export function LookView() {
  return <p>Nothing is here yet.</p>;
}
