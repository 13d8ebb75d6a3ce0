/** The view Server. */

export function ServerView() {
  return <p>Nothing is here yet.</p>;
}
