// Command conformance runs the cases of tests/conformance with the Go client, and writes down what it observed: SCRIPT OBSERVED.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	scotoma "github.com/scotoma/scotoma/clients/go"
	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

type testCase struct {
	Name, Call, Do, Of, Same, Data string
	Request                        json.RawMessage
}

type script struct {
	Address, Secure, Keyed, Control, Relay, Second, Page, CA, Cert, Key, APIKey, Folder, Question, Place, Benchmark string

	Pictures map[string]string
	Cases    []testCase
}

type observed = map[string]any

type runner struct {
	script
	client  *scotoma.Client
	square  *v1.Image
	records map[string]*v1.Provenance
}

func shown(message proto.Message) any {
	text, err := protojson.Marshal(message)
	if err != nil {
		panic(err)
	}
	return json.RawMessage(text)
}

func shownAll[M proto.Message](messages []M) []any {
	all := []any{}
	for _, message := range messages {
		all = append(all, shown(message))
	}
	return all
}

func read[M proto.Message](text json.RawMessage, message M) M {
	if err := protojson.Unmarshal(text, message); err != nil {
		panic(err)
	}
	return message
}

// nameOf is what gRPC calls a code.
func nameOf(err error) string {
	var e *scotoma.Error
	if !errors.As(err, &e) {
		return "UNKNOWN"
	}
	var name strings.Builder
	for i, letter := range e.Code.String() {
		if i > 0 && letter >= 'A' && letter <= 'Z' {
			name.WriteByte('_')
		}
		name.WriteRune(letter)
	}
	if e.Code == codes.OK {
		return "OK"
	}
	return strings.ToUpper(name.String())
}

func errorOf(err error) observed {
	var e *scotoma.Error
	if !errors.As(err, &e) {
		return observed{"thrown": err.Error()}
	}
	fields := []any{}
	for _, f := range e.Fields {
		fields = append(fields, observed{"field": f.Field, "description": f.Description})
	}
	return observed{"code": nameOf(err), "reason": e.Reason, "fields": fields}
}

func listed[T any](items iter.Seq2[T, error]) ([]T, error) {
	var all []T
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

func (r *runner) control(what string) string {
	response, err := http.Get(r.Control + "/" + what)
	if err != nil {
		panic(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (r *runner) cancelled() int {
	count, err := strconv.Atoi(r.control("cancelled"))
	if err != nil {
		panic(err)
	}
	return count
}

func (r *runner) ask(image *v1.Image) *v1.GenerateRequest {
	return &v1.GenerateRequest{Prompt: scotoma.Prompt(r.Question, image)}
}

func (r *runner) long(ctx context.Context, client *scotoma.Client) (*scotoma.Answer, error) {
	request := r.ask(r.square)
	request.MaxTokens = 1000
	request.Sampling = &v1.Sampling{Temperature: 100, Seed: proto.Uint64(96)}
	return client.Generate(ctx, request)
}

func (r *runner) evaluate(request json.RawMessage, data, results string) (*scotoma.Evaluation, error) {
	return r.client.Evaluate(context.Background(), read(request, &v1.EvaluateHeader{}), scotoma.Rows(data), results)
}

func (r *runner) observe(c testCase) observed {
	found, err := r.run(context.Background(), c)
	if err != nil {
		return observed{"error": errorOf(err)}
	}
	return found
}

func finished(answer *scotoma.Answer, err error) (observed, error) {
	if err != nil {
		return nil, err
	}
	last, err := answer.Finish()
	if err != nil {
		return nil, err
	}
	return observed{"finished": shown(last)}, nil
}

func (r *runner) run(ctx context.Context, c testCase) (observed, error) {
	switch c.Call + c.Do {
	case "generate":
		answer, err := r.client.Generate(ctx, read(c.Request, &v1.GenerateRequest{}))
		if err != nil {
			return nil, err
		}
		tokens, err := listed(answer.Tokens())
		if err != nil {
			return nil, err
		}
		r.records[c.Name] = answer.Finished().GetProvenance()
		return observed{
			"started": shown(answer.Started), "tokens": shownAll(tokens), "finished": shown(answer.Finished()),
		}, nil
	case "verify":
		request := &v1.VerifyRequest{Provenance: r.records[c.Of], Images: []*v1.Image{r.square}}
		return response(r.client.Verify(ctx, request))
	case "score":
		return response(r.client.Score(ctx, read(c.Request, &v1.ScoreRequest{})))
	case "sweep":
		sweep, err := r.client.Sweep(ctx, read(c.Request, &v1.SweepRequest{}))
		if err != nil {
			return nil, err
		}
		results, err := listed(sweep.Results())
		slices.SortFunc(results, func(a, b *v1.SweepResult) int { return int(a.GetVariant()) - int(b.GetVariant()) })
		return observed{
			"started": shown(sweep.Started), "results": shownAll(results), "finished": shown(sweep.Finished()),
		}, err
	case "capture":
		return r.capture(ctx, c)
	case "trace":
		return r.trace(ctx, c)
	case "attribute":
		return r.attribute(ctx, c)
	case "preview":
		return response(r.client.Preview(ctx, read(c.Request, &v1.PreviewRequest{})))
	case "listModels":
		models, err := r.client.ListModels(ctx)
		return observed{"response": shownAll(models)}, err
	case "getModel":
		return response(r.client.GetModel(ctx, read(c.Request, &v1.GetModelRequest{}).GetModel()))
	case "listHookPoints":
		points, err := r.client.ListHookPoints(ctx, "")
		return observed{"response": shownAll(points)}, err
	case "describe":
		rules, err := r.client.Describe(ctx)
		return observed{"response": shownAll(rules)}, err
	case "checkParity":
		stream, err := r.client.CheckParity(ctx, "")
		if err != nil {
			return nil, err
		}
		events, err := listed(stream)
		return observed{"events": len(events), "last": shown(events[len(events)-1])}, err
	case "evaluate":
		run, err := r.evaluate(c.Request, c.Data, "")
		if err != nil {
			return nil, err
		}
		results, err := listed(run.Results())
		slices.SortFunc(results, func(a, b *v1.SampleResult) int {
			return strings.Compare(a.GetId()+"\x00"+a.GetVariant(), b.GetId()+"\x00"+b.GetVariant())
		})
		return observed{
			"rule": run.Started.GetRule(), "results": shownAll(results), "finished": shown(run.Finished()),
		}, err
	case "restart":
		return r.moved(c, "restart", scotoma.WithPatience(0))
	case "onward":
		return r.moved(c, "restart")
	case "failover":
		r.control("revive")
		return r.moved(c, "kill", scotoma.WithServers(r.Second))
	case "other":
		return r.other(ctx)
	case "page":
		return observed{"asked": asked(ctx, r.Page)}, nil
	case "resume":
		header := `{"rule": "shapes", "answering": "ANSWERING_GENERATE", "variants": [{"name": "original"},
			{"name": "permuted", "interventions": [{"permuteTokens": {"seed": "1"}}]}]}`
		run, err := r.evaluate(json.RawMessage(header), r.Benchmark, filepath.Join(r.Folder, "begun.jsonl"))
		if err != nil {
			return nil, err
		}
		last, err := run.Finish()
		return observed{"known": run.Known, "finished": shown(last)}, err
	case "upload":
		image, err := r.client.UploadImage(ctx, r.square.GetData())
		if err != nil {
			return nil, err
		}
		found, err := finished(r.client.Generate(ctx, r.ask(image)))
		if err == nil {
			found["handle"] = image.GetHandle()
		}
		return found, err
	case "models":
		return r.models(ctx)
	case "deadline":
		ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		defer cancel()
		return finished(r.long(ctx, r.client))
	case "cancel":
		return r.cancel(ctx)
	case "down":
		r.control("down")
		return finished(r.client.Generate(ctx, r.ask(r.square)))
	case "lost":
		return r.brokenOff(ctx, r.client, "restart")
	case "silent":
		relayed, err := scotoma.NewClient(r.Relay, scotoma.WithKeepalive(time.Second))
		if err != nil {
			return nil, err
		}
		found, err := r.brokenOff(ctx, relayed, "lose")
		return found, errors.Join(err, relayed.Close())
	case "key":
		with := asked(ctx, r.Keyed, scotoma.WithAPIKey(r.APIKey))
		return observed{"name": with, "without key": asked(ctx, r.Keyed)}, nil
	case "tls":
		return r.tls(ctx)
	case "overhead":
		times := [][2]float64{}
		for range 1000 {
			begun, request := time.Now(), r.ask(r.square)
			request.MaxTokens = 1
			answer, err := r.client.Generate(ctx, request)
			if err != nil {
				return nil, err
			}
			last, err := answer.Finish()
			if err != nil {
				return nil, err
			}
			times = append(times, [2]float64{time.Since(begun).Seconds(), last.GetUsage().GetTotalSeconds()})
		}
		return observed{"times": times}, nil
	case "builders":
		return builders()
	case "helpers":
		return everyHelper()
	}
	return nil, fmt.Errorf("no way to %s%s", c.Call, c.Do)
}

func response[M proto.Message](message M, err error) (observed, error) {
	if err != nil {
		return nil, err
	}
	return observed{"response": shown(message)}, nil
}

func (r *runner) capture(ctx context.Context, c testCase) (observed, error) {
	capture, err := r.client.Capture(ctx, read(c.Request, &v1.CaptureRequest{}))
	if err != nil {
		return nil, err
	}
	all, err := listed(capture.Activations())
	activations := []any{}
	for _, a := range all {
		activations = append(activations, observed{
			"target": a.Target, "point": a.Point, "step": a.Step, "image": a.Image, "view": a.View, "tokens": a.Tokens,
			"shape": a.Shape, "values": doubles(a.Values), "top": shownAll(a.Top),
			"features": shownAll(a.Features),
		})
	}
	return observed{"activations": activations, "finished": shown(capture.Finished())}, err
}

func (r *runner) trace(ctx context.Context, c testCase) (observed, error) {
	trace, err := r.client.Trace(ctx, read(c.Request, &v1.TraceRequest{}))
	if err != nil {
		return nil, err
	}
	cells, err := listed(trace.Cells())
	slices.SortFunc(cells, func(a, b *v1.TraceCell) int { return slices.Compare(placeOf(a), placeOf(b)) })
	return observed{
		"started": shown(trace.Started), "baseline": shown(trace.Baseline()), "cells": shownAll(cells),
		"finished": shown(trace.Finished()),
	}, err
}

func placeOf(cell *v1.TraceCell) []uint32 {
	return []uint32{cell.GetPoint(), cell.GetLayer(), cell.GetPosition(), cell.GetHead()}
}

func (r *runner) attribute(ctx context.Context, c testCase) (observed, error) {
	found, err := r.client.Attribute(ctx, read(c.Request, &v1.AttributeRequest{}))
	if err != nil {
		return nil, err
	}
	all, err := listed(found.Scores())
	scores := []any{}
	for _, a := range all {
		scores = append(scores, observed{"point": a.Point, "tokens": a.Tokens, "shape": a.Shape, "values": doubles(a.Values)})
	}
	return observed{"scores": scores, "finished": shown(found.Finished())}, err
}

func doubles(values []float32) []float64 {
	all := make([]float64, len(values))
	for i, value := range values {
		all[i] = float64(value)
	}
	return all
}

func (r *runner) moved(c testCase, how string, options ...scotoma.Option) (observed, error) {
	same := r.Cases[slices.IndexFunc(r.Cases, func(other testCase) bool { return other.Name == c.Same })]
	file := filepath.Join(r.Folder, c.Do+".jsonl")
	client, err := scotoma.NewClient(r.Address, options...)
	if err != nil {
		return nil, err
	}
	defer func() { must(client.Close()) }()
	header := read(same.Request, &v1.EvaluateHeader{})
	run, err := client.Evaluate(context.Background(), header, scotoma.Rows(same.Data), file)
	if err != nil {
		return nil, err
	}
	lost, count := observed{}, 0
	for _, err := range run.Results() {
		if err != nil {
			lost["code"] = nameOf(err)
			break
		}
		if count++; count == 50 {
			r.control(how)
		}
	}
	last := run.Finished()
	if last == nil {
		if run, err = r.evaluate(same.Request, same.Data, file); err != nil {
			return nil, err
		}
		if last, err = run.Finish(); err != nil {
			return nil, err
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	written, err := scotoma.ReadResults(file)
	results := [][]string{}
	for _, result := range written {
		results = append(results, []string{result.GetId(), result.GetVariant(), result.GetText(), result.GetOutputDigest()})
	}
	slices.SortFunc(results, slices.Compare[[]string])
	lines := strings.Count(string(text), "\n")
	return observed{"lost": lost, "lines": lines, "results": results, "finished": shown(last)}, err
}

func (r *runner) other(ctx context.Context) (observed, error) {
	r.control("revive")
	client, err := scotoma.NewClient(r.Address, scotoma.WithServers(r.Second), scotoma.WithPatience(0))
	if err != nil {
		return nil, err
	}
	defer func() { must(client.Close()) }()
	var handles []*v1.Image
	for _, name := range slices.Sorted(maps.Keys(r.Pictures)) {
		data, err := base64.StdEncoding.DecodeString(r.Pictures[name])
		must(err)
		handle, err := client.UploadImage(ctx, data)
		if err != nil {
			return nil, err
		}
		handles = append(handles, handle)
	}
	r.control("kill")
	texts := []string{}
	for _, handle := range handles {
		request := r.ask(handle)
		request.MaxTokens = 2
		answer, err := client.Generate(ctx, request)
		if err != nil {
			return nil, err
		}
		last, err := answer.Finish()
		if err != nil {
			return nil, err
		}
		texts = append(texts, last.GetText())
	}
	return observed{"texts": texts}, nil
}

func (r *runner) models(ctx context.Context) (observed, error) {
	loading, err := r.client.LoadModel(ctx, &v1.LoadModelRequest{Place: r.Place + "/model", Name: "next"})
	if err != nil {
		return nil, err
	}
	events, err := listed(loading)
	if err != nil {
		return nil, err
	}
	info, err := r.client.LoadProjector(ctx, "next", "second", r.Place+"/mm_projector.bin")
	if err != nil {
		return nil, err
	}
	freed, err := r.client.UnloadModel(ctx, "next")
	gone := r.observe(testCase{Call: "getModel", Request: json.RawMessage(`{"model": "next"}`)})
	return observed{
		"family": events[len(events)-1].GetModel().GetFamily(), "projectors": info.GetProjectors(), "freed": freed,
		"gone": gone["error"],
	}, err
}

func (r *runner) cancel(ctx context.Context) (observed, error) {
	before := r.cancelled()
	answer, err := r.long(ctx, r.client)
	if err != nil {
		return nil, err
	}
	for range answer.Tokens() {
		break
	}
	for range 200 {
		if r.cancelled() > before {
			return observed{"cancelled": true}, nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return observed{"cancelled": false}, nil
}

func (r *runner) brokenOff(ctx context.Context, client *scotoma.Client, how string) (observed, error) {
	answer, err := r.long(ctx, client)
	if err != nil {
		return nil, err
	}
	count := 0
	for _, err := range answer.Tokens() {
		if err != nil {
			return observed{"tokens": count > 0, "error": observed{"code": nameOf(err)}}, nil
		}
		if count++; count == 1 {
			r.control(how)
		}
	}
	return observed{"tokens": count > 0}, nil
}

func (r *runner) tls(ctx context.Context) (observed, error) {
	pem, err := os.ReadFile(r.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	own, err := tls.LoadX509KeyPair(r.Cert, r.Key)
	if err != nil {
		return nil, err
	}
	certified := scotoma.WithTLS(&tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}})
	key := scotoma.WithAPIKey(r.APIKey)
	refused, _ := asked(ctx, r.Secure, scotoma.WithTLS(&tls.Config{RootCAs: roots}), key).(observed)
	return observed{
		"name": asked(ctx, r.Secure, certified, key),
		// What a client sees of a connection that is refused is its library's.
		"without certificate": refused["code"],
		"without key":         asked(ctx, r.Secure, certified),
	}, nil
}

// asked says what the model is called, or why nobody says so.
func asked(ctx context.Context, address string, options ...scotoma.Option) any {
	client, err := scotoma.NewClient(address, append(options, scotoma.WithPatience(0))...)
	if err != nil {
		panic(err)
	}
	defer func() { must(client.Close()) }()
	info, err := client.GetModel(ctx, "")
	if err != nil {
		return errorOf(err)
	}
	return info.GetName()
}

func builders() (observed, error) {
	found := observed{}
	for name, built := range map[string]*v1.Intervention{
		"permute": scotoma.PermuteTokens(7), "drop": scotoma.DropLayers(2, 3), "occlude": scotoma.OccludeAtRandom(0.5, 7),
		"swap": scotoma.SwapProjectorAtRandom(7),
	} {
		text, err := scotoma.ToJSON(built)
		if err != nil {
			return nil, err
		}
		found[name] = json.RawMessage(text)
	}
	return found, nil
}

// everyHelper is every kind of intervention by its helper.
func everyHelper() (observed, error) {
	const resid = "language_model.blocks.{l}.hook_resid_post"
	five, last, visual := []uint32{5}, scotoma.Tokens.Last, scotoma.Tokens.Visual
	share := &v1.SalientPatches{Amount: &v1.SalientPatches_Share{Share: 0.25}, Head: proto.Uint32(1)}
	found := observed{}
	for name, built := range map[string]*v1.Intervention{
		"permuteTokens": scotoma.PermuteTokens(7, func(m *v1.PermuteTokens) {
			m.Scope, m.Blocks = v1.PermuteTokens_SCOPE_WITHIN_BLOCKS, 2
		}),
		"occludePatches": scotoma.OccludeMostAttended(share, func(m *v1.OccludePatches) {
			m.Fill, m.Grid, m.BlurSigma = v1.OccludePatches_FILL_BLUR, 6, 2
		}),
		"dropLayers":     scotoma.DropTowerLayers(1),
		"swapProjector":  scotoma.SwapProjectorByIdentity(),
		"blankImage":     scotoma.BlankImageOf(1, 2, 3),
		"shufflePatches": scotoma.ShufflePatches(3, 1),
		"selectTokens": scotoma.SelectTokens(scotoma.Tokens.Block(2, 3), v1.SelectTokens_MODE_MERGE, func(m *v1.SelectTokens) {
			m.Positions = v1.SelectTokens_POSITIONS_COMPACT
			m.Merge = &v1.MergeTokens{Amount: &v1.MergeTokens_Count{Count: 4}}
		}),
		"replaceTokens": scotoma.ReplaceTokensByNoise(scotoma.Tokens.Measured(
			"language_model.blocks.3.hook_resid_post", v1.MeasuredTokens_MEASURE_NORM, 2,
			func(m *v1.MeasuredTokens) { m.Among = v1.Tokens_NAMED_VISUAL },
		), 3),
		"repeatLayers": scotoma.RepeatLayers(2, 3, 1),
		"exitEarly":    scotoma.ExitEarly(6),
		"addNoise": scotoma.AddNoise(scotoma.At(resid, scotoma.Where{Layers: five, Tokens: visual}), 0.5, func(m *v1.AddNoise) {
			m.Geometry, m.Seed = v1.AddNoise_GEOMETRY_KESKAR, proto.Uint64(1)
		}),
		"steer": scotoma.Steer(
			scotoma.At(resid, scotoma.Where{Layers: five, Tokens: last, Steps: scotoma.Step(0)}), []float32{1, 2}, 2),
		"projectOut": scotoma.ProjectOut(scotoma.At(resid, scotoma.Where{Layers: five}), []float32{1, 0}, []float32{0, 1}),
		"scale": scotoma.Scale(scotoma.At("language_model.blocks.{l}.attn.hook_z",
			scotoma.Where{Layers: five, Heads: []uint32{1}, Dimensions: []uint32{2}}), 0.5),
		"ablate": scotoma.Ablate(scotoma.At("language_model.blocks.{l}.hook_mlp_out",
			scotoma.Where{Layers: scotoma.Layers(3, 5), Tokens: scotoma.Tokens.Text.Or(last).Not()}), v1.Constant_CONSTANT_MEAN),
		"patch": scotoma.Patch(scotoma.At(resid, scotoma.Where{Layers: five, Tokens: last}), []float32{1, 2}),
		"knockOutAttention": scotoma.KnockOutAttention(last, visual, func(m *v1.KnockOutAttention) {
			m.Layers, m.Heads, m.Steps = []uint32{2}, []uint32{1}, scotoma.StepsFrom(1)
		}),
		"pruneTokens": scotoma.PruneTokens(2, 0.5, scotoma.ReceivedFrom(scotoma.Tokens.Question)),
		"clampNorm":   scotoma.ClampNorm(scotoma.At("projector.hook_tokens", scotoma.Where{}), 1),
		"setFeature":  scotoma.SetFeature(scotoma.At("projector.hook_tokens", scotoma.Where{}), "shapes", 2.5, 3, 7),
	} {
		text, err := scotoma.ToJSON(built)
		if err != nil {
			return nil, err
		}
		found[name] = json.RawMessage(text)
	}
	return found, nil
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	must(err)
	r := &runner{records: map[string]*v1.Provenance{}}
	must(json.Unmarshal(text, &r.script))
	square, err := base64.StdEncoding.DecodeString(r.Pictures["square"])
	must(err)
	r.square = scotoma.Image(square)
	r.client, err = scotoma.NewClient(r.Address)
	must(err)
	all := map[string]observed{}
	for _, c := range r.Cases {
		all[c.Name] = r.observe(c)
	}
	text, err = json.Marshal(all)
	must(err)
	must(os.WriteFile(os.Args[2], text, 0o644))
}
