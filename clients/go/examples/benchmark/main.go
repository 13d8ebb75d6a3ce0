// Command benchmark runs a benchmark under interventions and prints a table: benchmark TABLE.tsv [RULE [ADDRESS]].
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"text/tabwriter"

	scotoma "github.com/scotoma/scotoma/clients/go"
	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

func main() {
	arguments := append(os.Args[1:], "shapes", "127.0.0.1:7878")
	if len(os.Args) < 2 {
		log.Fatal("benchmark TABLE.tsv [RULE [ADDRESS]]")
	}
	if len(os.Args) == 3 {
		arguments[2] = "127.0.0.1:7878"
	}
	if err := run(arguments[0], arguments[1], arguments[2]); err != nil {
		log.Fatal(err)
	}
}

func run(data, rule, address string) error {
	client, err := scotoma.NewClient(address)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	header := &v1.EvaluateHeader{
		Rules: &v1.EvaluateHeader_Rule{Rule: rule},
		Variants: []*v1.EvaluateVariant{
			{Name: "original"},
			{Name: "permuted", Interventions: []*v1.Intervention{scotoma.PermuteTokens(1)}},
			{Name: "half occluded", Interventions: []*v1.Intervention{scotoma.OccludeAtRandom(0.5, 1)}},
			{Name: "without layer 6", Interventions: []*v1.Intervention{scotoma.DropLayers(6)}},
		},
	}
	evaluation, err := client.Evaluate(context.Background(), header, scotoma.Rows(data), "")
	if err != nil {
		return err
	}
	finished, err := evaluation.Finish()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "variant\tmetric\tvalue\t95 %\tn")
	for _, m := range finished.GetMetrics() {
		_, _ = fmt.Fprintf(table, "%s\t%s\t%.3f\t%.3f to %.3f\t%d\n", m.Variant, m.Name, m.Value, m.Low, m.High, m.N)
	}
	for _, c := range finished.GetComparisons() {
		_, _ = fmt.Fprintf(table, "%s\tdifference\t%+.3f\t%+.3f to %+.3f\t%d\n", c.Variant, c.Difference, c.Low, c.High, c.N)
	}
	return table.Flush()
}
