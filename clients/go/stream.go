package scotoma

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// A stream is a call whose first message has come.
type stream[T any] struct {
	first  *T
	recv   func() (*T, error)
	cancel context.CancelFunc
	ended  bool
	server *server
}

// begin calls a method and waits for its first message; until that has come, what is lost is tried again.
func begin[S, Q, T any](
	ctx context.Context, c *Client, service func(*server) S,
	method func(S, context.Context, Q, ...grpc.CallOption) (grpc.ServerStreamingClient[T], error), request Q,
) (*stream[T], error) {
	return sent(ctx, c, request, func(ctx context.Context, at *server) (*stream[T], error) {
		ctx, cancel := context.WithCancel(ctx)
		call, err := method(service(at), ctx, request)
		if err != nil {
			cancel()
			return nil, err
		}
		first, err := call.Recv()
		if err != nil {
			cancel()
			return nil, err
		}
		return &stream[T]{first: first, recv: call.Recv, cancel: cancel, server: at}, nil
	})
}

// rest gives the messages after the first one. Leaving the loop cancels; after its end there is nothing more.
func (s *stream[T]) rest() iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		defer s.cancel()
		for !s.ended {
			message, err := s.recv()
			if errors.Is(err, io.EOF) {
				s.ended = true
				return
			}
			if err != nil {
				s.ended = true
				yield(nil, failed(err))
				return
			}
			if !yield(message, nil) {
				s.ended = true
				return
			}
		}
	}
}

// all gives every message.
func (s *stream[T]) all() iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		if !yield(s.first, nil) {
			s.cancel()
			return
		}
		s.rest()(yield)
	}
}

// picked gives what pick finds in the messages after the first one, and an error where done does not say that the end has come.
func picked[T, E any](s *stream[T], pick func(*T) *E, done func() bool) iter.Seq2[*E, error] {
	return func(yield func(*E, error) bool) {
		for message, err := range s.rest() {
			if err != nil {
				yield(nil, err)
				return
			}
			if found := pick(message); found != nil && !yield(found, nil) {
				return
			}
		}
		if !done() {
			yield(nil, errTruncated)
		}
	}
}

// drained reads to the end.
func drained[E any](events iter.Seq2[*E, error]) error {
	for _, err := range events {
		if err != nil {
			return err
		}
	}
	return nil
}

// An Answer is a streamed answer: range over its Tokens, or Finish it.
type Answer struct {
	// Started is the first event: the request is admitted.
	Started *v1.Started

	stream   *stream[v1.GenerateResponse]
	finished *v1.Finished
}

// Tokens gives the tokens as they come; leaving the loop tells the server to stop.
func (a *Answer) Tokens() iter.Seq2[*v1.Token, error] {
	return picked(a.stream, func(event *v1.GenerateResponse) *v1.Token {
		if finished := event.GetFinished(); finished != nil {
			a.finished = finished
		}
		return event.GetToken()
	}, func() bool { return a.finished != nil })
}

// Finished is the last event, with the whole text, usage and provenance; nil before it has come.
func (a *Answer) Finished() *v1.Finished { return a.finished }

// Finish reads to the end.
func (a *Answer) Finish() (*v1.Finished, error) {
	if err := drained(a.Tokens()); err != nil {
		return nil, err
	}
	return a.finished, nil
}

// Cancel tells the server to stop.
func (a *Answer) Cancel() { a.stream.cancel() }

// A Sweep is one input under many variants.
type Sweep struct {
	// Started says how many results will come.
	Started *v1.SweepStarted

	stream   *stream[v1.SweepResponse]
	finished *v1.SweepFinished
}

// Results gives a result for each variant as it is done; leaving the loop tells the server to stop.
func (s *Sweep) Results() iter.Seq2[*v1.SweepResult, error] {
	return picked(s.stream, func(event *v1.SweepResponse) *v1.SweepResult {
		if finished := event.GetFinished(); finished != nil {
			s.finished = finished
		}
		return event.GetResult()
	}, func() bool { return s.finished != nil })
}

// Finished is the last event, with what was computed; nil before it has come.
func (s *Sweep) Finished() *v1.SweepFinished { return s.finished }

// Cancel tells the server to stop.
func (s *Sweep) Cancel() { s.stream.cancel() }

// An Activation is what a hook point held, put together from its parts.
type Activation struct {
	// Target is the position in the request's targets.
	Target int
	// Point is the name of the hook point.
	Point string
	// Step is 0 for the prompt, k for the k-th generated token.
	Step int
	// Image and View say of which picture, in the tower and the projector.
	Image, View int
	// Tokens are the numbers of the tokens behind the rows.
	Tokens []uint32
	// Shape has the sizes, rows first.
	Shape []int
	// Values are the numbers, row by row.
	Values []float32
	// Top are the likeliest tokens of each row, in place of numbers.
	Top []*v1.TopTokens
	// Features are the strongest features of each row, in place of numbers.
	Features []*v1.TopFeatures
}

// A Capture is a stream of activations.
type Capture struct {
	// Started is the first event: the request is admitted.
	Started *v1.Started

	stream   *stream[v1.CaptureResponse]
	dtype    v1.DataType
	keep     func(handle string)
	finished *v1.CaptureFinished
}

// Activations gives whole activations as they come; leaving the loop tells the server to stop.
func (c *Capture) Activations() iter.Seq2[*Activation, error] {
	var data []byte
	return picked(c.stream, func(event *v1.CaptureResponse) *Activation {
		if finished := event.GetFinished(); finished != nil {
			c.finished = finished
			for _, kept := range finished.GetKept() {
				c.keep(kept.GetHandle())
			}
		}
		return whole(&data, event.GetActivation(), c.dtype)
	}, func() bool { return c.finished != nil })
}

// whole puts a part to those before it; nil where more will come, or there is none.
func whole(data *[]byte, part *v1.Activation, dtype v1.DataType) *Activation {
	if part == nil {
		return nil
	}
	*data = append(*data, part.GetData()...)
	if uint64(len(*data)) < part.GetSize() {
		return nil
	}
	shape := make([]int, len(part.GetShape()))
	for i, size := range part.GetShape() {
		shape[i] = int(size)
	}
	all := values(*data, dtype)
	*data = nil
	return &Activation{
		Target: int(part.GetTarget()), Point: part.GetPoint(), Step: int(part.GetStep()), Image: int(part.GetImage()),
		View: int(part.GetView()), Tokens: part.GetTokens(), Shape: shape, Values: all, Top: part.GetTop(),
		Features: part.GetFeatures(),
	}
}

// Finished is the last event, with usage, provenance and what was kept; nil before it has come.
func (c *Capture) Finished() *v1.CaptureFinished { return c.finished }

// Cancel tells the server to stop.
func (c *Capture) Cancel() { c.stream.cancel() }

// A Trace is a grid of activation patching: a cell for each place.
type Trace struct {
	// Started has the axes, and what all cells will take.
	Started *v1.TraceStarted

	stream   *stream[v1.TraceResponse]
	baseline *v1.TraceBaseline
	finished *v1.TraceFinished
}

// Cells gives the cells as they are done; leaving the loop tells the server to stop.
func (t *Trace) Cells() iter.Seq2[*v1.TraceCell, error] {
	return picked(t.stream, func(event *v1.TraceResponse) *v1.TraceCell {
		if baseline := event.GetBaseline(); baseline != nil {
			t.baseline = baseline
		}
		if finished := event.GetFinished(); finished != nil {
			t.finished = finished
		}
		return event.GetCell()
	}, func() bool { return t.finished != nil })
}

// Baseline is the metric of the two runs without patches; nil before it has come.
func (t *Trace) Baseline() *v1.TraceBaseline { return t.baseline }

// Finished is the last event, with what was computed and provenance; nil before it has come.
func (t *Trace) Finished() *v1.TraceFinished { return t.finished }

// Cancel tells the server to stop.
func (t *Trace) Cancel() { t.stream.cancel() }

// An Attribution is a stream of what gradients say of each row.
type Attribution struct {
	// Started is the first event: what all passes will take is known.
	Started *v1.Started

	stream   *stream[v1.AttributeResponse]
	finished *v1.AttributeFinished
}

// Scores gives a number for each row, a point at a time; leaving the loop tells the server to stop.
func (a *Attribution) Scores() iter.Seq2[*Activation, error] {
	var data []byte
	return picked(a.stream, func(event *v1.AttributeResponse) *Activation {
		if finished := event.GetFinished(); finished != nil {
			a.finished = finished
		}
		return whole(&data, event.GetScores(), v1.DataType_DATA_TYPE_F32)
	}, func() bool { return a.finished != nil })
}

// Finished is the last event, with the metric and provenance; nil before it has come.
func (a *Attribution) Finished() *v1.AttributeFinished { return a.finished }

// Cancel tells the server to stop.
func (a *Attribution) Cancel() { a.stream.cancel() }

func values(data []byte, dtype v1.DataType) []float32 {
	switch dtype {
	case v1.DataType_DATA_TYPE_BF16:
		return halves(data, func(bits uint16) float32 { return math.Float32frombits(uint32(bits) << 16) })
	case v1.DataType_DATA_TYPE_F16:
		return halves(data, float16)
	}
	all := make([]float32, len(data)/4)
	for i := range all {
		all[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return all
}

func halves(data []byte, widen func(uint16) float32) []float32 {
	all := make([]float32, len(data)/2)
	for i := range all {
		all[i] = widen(binary.LittleEndian.Uint16(data[2*i:]))
	}
	return all
}

// float16 widens an IEEE half.
func float16(bits uint16) float32 {
	sign, exponent, fraction := uint32(bits&0x8000)<<16, uint32(bits>>10&0x1f), uint32(bits&0x3ff)
	switch exponent {
	case 0:
		value := float32(fraction) * 0x1p-24
		return math.Float32frombits(math.Float32bits(value) | sign)
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// Questions are what a benchmark asks: Samples, or the Rows of a file.
type Questions = iter.Seq2[*v1.EvaluateRequest, error]

// Samples asks these.
func Samples(samples ...*v1.Sample) Questions {
	return func(yield func(*v1.EvaluateRequest, error) bool) {
		for _, sample := range samples {
			if !yield(&v1.EvaluateRequest{Event: &v1.EvaluateRequest_Sample{Sample: sample}}, nil) {
				return
			}
		}
	}
}

// An Evaluation is a benchmark that runs.
type Evaluation struct {
	// Started says who answers, by which rule, with which seeds.
	Started *v1.EvaluateStarted
	// Known is the number of results of an earlier run, which are not computed again.
	Known int

	run      *running
	results  *resultsFile
	metrics  []*v1.BenchmarkMetric
	finished *v1.EvaluateFinished
	ended    bool
}

// Evaluate runs a benchmark: questions are taken as fast as the server answers. Where results names a file, results are written down there
// as they come, and a run that finds them there goes on where it ended, with the seeds that were drawn.
//
// A run whose server is lost or goes down waits for the next one (WithPatience, anew after every answer) and goes on there with what is not
// answered. Of several servers each gets the questions about its pictures.
func (c *Client) Evaluate(
	ctx context.Context, header *v1.EvaluateHeader, questions Questions, results string,
) (*Evaluation, error) {
	e := &Evaluation{}
	var known []*v1.SampleResult
	if results != "" {
		var err error
		if e.results, header, known, err = openResults(results, header); err != nil {
			return nil, err
		}
		e.Known = len(known)
	}
	r, err := beginRun(ctx, c, header, known, questions, func(started *v1.EvaluateStarted) error {
		if e.results == nil {
			return nil
		}
		return e.results.begun(started)
	})
	if err != nil {
		e.results.close()
		return nil, err
	}
	e.Started, e.run = r.started, r
	return e, nil
}

// Results gives a result for each question and variant as it comes; leaving the loop tells the server to stop.
func (e *Evaluation) Results() iter.Seq2[*v1.SampleResult, error] {
	return func(yield func(*v1.SampleResult, error) bool) {
		defer e.Cancel()
		for !e.ended {
			event, err := e.next()
			if err == nil && event.GetResult() == nil {
				continue
			}
			result := event.GetResult()
			if err == nil && e.results != nil {
				err = e.results.add(result)
			}
			if !yield(result, err) || err != nil {
				e.ended = true
			}
		}
	}
}

// next is the next event; an error ends the run.
func (e *Evaluation) next() (*v1.EvaluateResponse, error) {
	select {
	case said := <-e.run.told:
		if said.err != nil {
			return nil, failed(said.err)
		}
		if progress := said.event.GetProgress(); progress != nil {
			e.metrics = progress.GetMetrics()
		}
		if finished := said.event.GetFinished(); finished != nil {
			e.finished, e.metrics, e.ended = finished, finished.GetMetrics(), true
			e.run.mutex.Lock()
			defer e.run.mutex.Unlock()
			return said.event, e.run.broken
		}
		return said.event, nil
	case <-e.run.ctx.Done():
		return nil, failed(status.FromContextError(e.run.ctx.Err()).Err())
	}
}

// Metrics are what the results so far come to; now and then anew.
func (e *Evaluation) Metrics() []*v1.BenchmarkMetric { return e.metrics }

// Finished is the last event, with metrics and comparisons; nil before it has come.
func (e *Evaluation) Finished() *v1.EvaluateFinished { return e.finished }

// Finish reads to the end.
func (e *Evaluation) Finish() (*v1.EvaluateFinished, error) {
	if err := drained(e.Results()); err != nil {
		return nil, err
	}
	return e.finished, nil
}

// Cancel tells the server to stop; what is written down stays.
func (e *Evaluation) Cancel() {
	e.run.cancel()
	e.results.close()
}
