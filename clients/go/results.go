package scotoma

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// A resultsFile holds one result a line in canonical JSON, with the run's header beside it, so that a run that was cut off goes on as the
// same run. All clients and the command line read and write the same files.
type resultsFile struct {
	path    string
	asked   *v1.EvaluateHeader
	earlier *run
	file    *os.File
}

// A run stands beside results.
type run struct {
	Asked json.RawMessage `json:"asked"` // as it was asked for
	Ran   json.RawMessage `json:"ran"`   // the same with all seeds drawn
	Model string          `json:"model"` // the model's digest
}

func runFile(results string) string { return results + ".run.json" }

// openResults also gives the header with the seeds that were drawn, and the results that are there.
func openResults(path string, header *v1.EvaluateHeader) (*resultsFile, *v1.EvaluateHeader, []*v1.SampleResult, error) {
	wrong := func(err error) (*resultsFile, *v1.EvaluateHeader, []*v1.SampleResult, error) {
		return nil, nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	asked := proto.CloneOf(header)
	asked.ProgressEvery = 0 // how often metrics come makes no other run
	r := &resultsFile{path: path, asked: asked}
	text, err := os.ReadFile(runFile(path))
	switch {
	case err == nil:
		r.earlier = &run{}
		earlier, ran := &v1.EvaluateHeader{}, &v1.EvaluateHeader{}
		if err := json.Unmarshal(text, r.earlier); err != nil {
			return wrong(err)
		}
		if err := errors.Join(protojson.Unmarshal(r.earlier.Asked, earlier), protojson.Unmarshal(r.earlier.Ran, ran)); err != nil {
			return wrong(err)
		}
		if !proto.Equal(earlier, asked) {
			return wrong(errors.New("it is of another run"))
		}
		ran.ProgressEvery = header.GetProgressEvery()
		header = ran
	case !errors.Is(err, fs.ErrNotExist):
		return wrong(err)
	}
	known, err := readResults(path, true)
	if err != nil {
		return nil, nil, nil, err
	}
	if r.file, err = os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
		return wrong(err)
	}
	return r, header, known, nil
}

// begun: the run has begun.
func (r *resultsFile) begun(started *v1.EvaluateStarted) error {
	if r.earlier != nil {
		if r.earlier.Model != started.GetModelDigest() {
			return fmt.Errorf("%s: it is of another model", r.path)
		}
		return nil
	}
	ran := proto.CloneOf(started.GetHeader())
	ran.ProgressEvery = 0
	asked, err := protojson.Marshal(r.asked)
	if err != nil {
		return err
	}
	drawn, err := protojson.Marshal(ran)
	if err != nil {
		return err
	}
	text, err := json.Marshal(run{asked, drawn, started.GetModelDigest()})
	if err != nil {
		return err
	}
	// At once or not at all: a run may be killed here, too.
	part := runFile(r.path) + ".part"
	if err := os.WriteFile(part, text, 0o644); err != nil {
		return err
	}
	return os.Rename(part, runFile(r.path))
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
			return nil, fmt.Errorf("%s, line %d: %w", path, number, err)
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
