package scotoma

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// A resultsFile holds one result a line in canonical JSON, with the run's header beside it, so that a run that was cut off goes on as the
// same run. All clients and the command line read and write the same files. A run holds an exclusive flock(2) on the results file from
// before it reads it until it ends; all clients take the same one.
type resultsFile struct {
	path    string
	asked   *v1.EvaluateHeader
	earlier *run
	file    *os.File
}

// A run stands beside results. What earlier versions did not write is not compared.
type run struct {
	Asked json.RawMessage `json:"asked"`                 // as it was asked for
	Ran   json.RawMessage `json:"ran"`                   // the same with all seeds drawn
	Model string          `json:"model"`                 // the model's digest
	Data  string          `json:"data_sha256,omitempty"` // of the file of questions, where another client read it
	// Server is its version.
	Server string `json:"server,omitempty"`
	// Judge is who judges.
	Judge *judge `json:"judge,omitempty"`
}

type judge struct {
	Model  string `json:"model,omitempty"`
	Prompt string `json:"prompt,omitempty"`
}

func runFile(results string) string { return results + ".run.json" }

// openResults locks a file; it also gives the header with the seeds that were drawn, and the results that are there.
func openResults(path string, header *v1.EvaluateHeader) (*resultsFile, *v1.EvaluateHeader, []*v1.SampleResult, error) {
	asked := proto.CloneOf(header)
	asked.ProgressEvery = 0 // how often metrics come makes no other run
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, nil, err
	}
	r := &resultsFile{path: path, asked: asked, file: file}
	if err := lock(file); err != nil {
		r.close()
		return nil, nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	header, known, err := r.resume(header)
	if err != nil {
		r.close()
		return nil, nil, nil, err
	}
	return r, header, known, nil
}

// resume reads what an earlier run has left.
func (r *resultsFile) resume(header *v1.EvaluateHeader) (*v1.EvaluateHeader, []*v1.SampleResult, error) {
	about := runFile(r.path)
	text, err := os.ReadFile(about)
	switch {
	case err == nil:
		r.earlier = &run{}
		earlier, ran := &v1.EvaluateHeader{}, &v1.EvaluateHeader{}
		if err := json.Unmarshal(text, r.earlier); err != nil {
			return nil, nil, fmt.Errorf("%s: it is no header of a run: %w", about, err)
		}
		if err := errors.Join(protojson.Unmarshal(r.earlier.Asked, earlier), protojson.Unmarshal(r.earlier.Ran, ran)); err != nil {
			return nil, nil, fmt.Errorf("%s: it is no header of a run: %w", about, err)
		}
		if !proto.Equal(earlier, r.asked) {
			differ, err := headersDiffer(earlier, r.asked)
			if err != nil {
				return nil, nil, err
			}
			return nil, nil, r.another(differ)
		}
		ran.ProgressEvery = header.GetProgressEvery()
		header = ran
	case !errors.Is(err, fs.ErrNotExist):
		return nil, nil, err
	}
	known, err := readResults(r.path, true)
	if err != nil {
		return nil, nil, err
	}
	// The header is written before the first result: without it nothing says whose answers these are.
	if r.earlier == nil && len(known) > 0 {
		return nil, nil, r.another([]string{
			fmt.Sprintf("%s is not there, which says of which run its %d results are", about, len(known)),
		})
	}
	for _, result := range known {
		own := func(variant *v1.EvaluateVariant) bool { return variant.GetName() == result.GetVariant() }
		if len(header.GetVariants()) > 0 && !slices.ContainsFunc(header.GetVariants(), own) {
			return nil, nil, r.another([]string{fmt.Sprintf("its variant %q is none of this run", result.GetVariant())})
		}
	}
	return header, known, nil
}

const shownDifferences = 6

// another says of a file of another run what differs and what to do.
func (r *resultsFile) another(differ []string) error {
	shown := strings.Join(differ[:min(len(differ), shownDifferences)], "; ")
	if len(differ) > shownDifferences {
		shown += fmt.Sprintf("; and %d more", len(differ)-shownDifferences)
	}
	return fmt.Errorf(
		"%s: it is of another run: %s. Run as then, or take another file, or remove %s and %s to begin anew",
		r.path, shown, r.path, runFile(r.path),
	)
}

// begun: the run has begun; an error where it goes on under another model, server or judge.
func (r *resultsFile) begun(started *v1.EvaluateStarted) error {
	now := run{Model: started.GetModelDigest(), Server: started.GetServerVersion()}
	if started.GetJudge() != nil {
		now.Judge = &judge{started.GetJudge().GetModel(), started.GetJudge().GetPrompt()}
	}
	if r.earlier != nil {
		then := *r.earlier
		differ := textsDiffer(nil, "model digest", then.Model, now.Model)
		differ = textsDiffer(differ, "server version", then.Server, now.Server)
		if then.Judge != nil && now.Judge != nil {
			differ = textsDiffer(differ, "judge", then.Judge.Model, now.Judge.Model)
			differ = textsDiffer(differ, "judge's prompt", then.Judge.Prompt, now.Judge.Prompt)
		}
		if len(differ) > 0 {
			return r.another(differ)
		}
		// What was not known then is known from now on: answers may be judged later.
		now.Asked, now.Ran, now.Data = then.Asked, then.Ran, then.Data
		now.Server = cmp.Or(then.Server, now.Server)
		if then.Judge != nil {
			now.Judge = then.Judge
		}
	} else {
		ran := proto.CloneOf(started.GetHeader())
		ran.ProgressEvery = 0
		var errs [2]error
		now.Asked, errs[0] = protojson.Marshal(r.asked)
		now.Ran, errs[1] = protojson.Marshal(ran)
		if err := errors.Join(errs[:]...); err != nil {
			return err
		}
	}
	text, err := json.Marshal(now)
	if err != nil {
		return err
	}
	r.earlier = &now
	// At once or not at all: a run may be killed here, too.
	part := runFile(r.path) + ".part"
	if err := os.WriteFile(part, text, 0o644); err != nil {
		return err
	}
	return os.Rename(part, runFile(r.path))
}

// textsDiffer compares two texts, where both are known.
func textsDiffer(differ []string, field, then, now string) []string {
	if then == "" || now == "" || then == now {
		return differ
	}
	return append(differ, fmt.Sprintf("%s %q then, %q now", field, then, now))
}

// headersDiffer compares headers field by field.
func headersDiffer(then, now *v1.EvaluateHeader) ([]string, error) {
	var values [2]any
	for i, header := range []*v1.EvaluateHeader{then, now} {
		text, err := protojson.Marshal(header)
		if err == nil {
			err = json.Unmarshal(text, &values[i])
		}
		if err != nil {
			return nil, err
		}
	}
	if differ := valuesDiffer(nil, "", values[0], values[1]); len(differ) > 0 {
		return differ, nil
	}
	return []string{"headers differ"}, nil
}

func valuesDiffer(differ []string, path string, then, now any) []string {
	a, isA := then.(map[string]any)
	b, isB := now.(map[string]any)
	if isA && isB {
		names := slices.Collect(maps.Keys(a))
		for name := range b {
			if _, both := a[name]; !both {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			differ = valuesDiffer(differ, strings.TrimPrefix(path+"."+name, "."), a[name], b[name])
		}
		return differ
	}
	c, isC := then.([]any)
	d, isD := now.([]any)
	if isC && isD && len(c) == len(d) {
		for i := range c {
			differ = valuesDiffer(differ, fmt.Sprintf("%s[%d]", path, i), c[i], d[i])
		}
		return differ
	}
	if reflect.DeepEqual(then, now) {
		return differ
	}
	return append(differ, fmt.Sprintf("%s %s then, %s now", path, shownValue(then), shownValue(now)))
}

// shownValue gives a value in few words: of a list of things with names these alone.
func shownValue(value any) string {
	const longest = 120
	if value == nil {
		return "unset"
	}
	var names []string
	all, isList := value.([]any)
	for _, one := range all {
		if object, isObject := one.(map[string]any); isObject {
			if name, isNamed := object["name"].(string); isNamed {
				names = append(names, strconv.Quote(name))
			}
		}
	}
	text, err := json.Marshal(value)
	shown := string(text)
	if err != nil {
		shown = fmt.Sprint(value)
	}
	if isList && len(all) > 0 && len(names) == len(all) {
		shown = fmt.Sprintf("%d (%s)", len(all), strings.Join(names, ", "))
	}
	if runes := []rune(shown); len(runes) > longest {
		return string(runes[:longest]) + "..."
	}
	return shown
}

// add writes a result down.
func (r *resultsFile) add(result *v1.SampleResult) error {
	line, err := protojson.Marshal(result)
	if err != nil {
		return err
	}
	_, err = r.file.Write(append(line, '\n'))
	return err
}

func (r *resultsFile) close() {
	if r != nil {
		_ = r.file.Close()
	}
}

// ReadResults gives all results in the file that a run has left, without errors; of two of the same question and variant the later one.
func ReadResults(path string) ([]*v1.SampleResult, error) { return readResults(path, false) }

// readResults with mend gives nothing for no file, and cuts away a last line that was cut off by a kill.
func readResults(path string, mend bool) ([]*v1.SampleResult, error) {
	file, err := os.Open(path)
	if err != nil {
		if mend && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, err
	}
	defer func() { _ = file.Close() }()
	type key struct{ id, variant string }
	var known []*v1.SampleResult
	places, whole := map[key]int{}, int64(0)
	reader := bufio.NewReader(file)
	for number := 1; ; number++ {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			if len(line) > 0 && mend {
				return known, os.Truncate(path, whole)
			}
			return known, nil
		}
		if err != nil {
			return nil, err
		}
		whole += int64(len(line))
		result := &v1.SampleResult{}
		if err := protojson.Unmarshal(bytes.TrimSpace(line), result); err != nil {
			return nil, fmt.Errorf("%s, line %d: it is no result of a run: %w", path, number, err)
		}
		if result.GetError() != nil {
			continue
		}
		at := key{result.GetId(), result.GetVariant()}
		if place, ok := places[at]; ok {
			known[place] = result
			continue
		}
		places[at] = len(known)
		known = append(known, result)
	}
}
