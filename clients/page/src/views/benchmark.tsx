/** The view Benchmark. */

export function BenchmarkView() {
  return <p>Nothing is here yet.</p>;
}
