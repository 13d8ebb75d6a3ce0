package scotoma

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

const (
	// Questions that wait for the server that has their picture; further ones go to whoever asks.
	backlogCount = 32
	look         = 50 * time.Millisecond
)

// A running is a benchmark on its way: one stream for each server, and what goes on where one of them is lost.
//
// Every question is settled (the server said so), on its way to a server, or waits in a backlog. A server that is lost gives back what was
// on its way; the next one, or the same one when it is there again, is told what is known and asked what is not.
type running struct {
	client  *Client
	ctx     context.Context
	cancel  context.CancelFunc
	header  *v1.EvaluateHeader
	started *v1.EvaluateStarted
	told    chan told
	begun   time.Time

	reading sync.Mutex
	next    func() (*v1.EvaluateRequest, error, bool)

	mutex       sync.Mutex
	patience    *patience
	lanes       []*lane
	orphans     []*v1.EvaluateRequest
	known       []known
	failed      map[[2]string]int
	connections int
	answers     int
	computed    uint64
	going       int
	isRead      bool
	broken      error
}

// known is a result, and the connection on which it came; 0: an earlier run.
type known struct {
	of     int
	result *v1.SampleResult
}

// told is what a server says, or why nothing more comes.
type told struct {
	event *v1.EvaluateResponse
	err   error
}

// A lane is one server, and the questions that are its.
type lane struct {
	server  *server
	open    int
	pending []*v1.EvaluateRequest
	settled uint64
	backlog []*v1.EvaluateRequest
}

// A connection is a stream whose first event has come.
type connection struct {
	number int
	stream grpc.BidiStreamingClient[v1.EvaluateRequest, v1.EvaluateResponse]
	first  *v1.EvaluateStarted
	cancel context.CancelFunc
}

// beginRun waits until a server has taken the header.
func beginRun(
	ctx context.Context, c *Client, header *v1.EvaluateHeader, earlier []*v1.SampleResult, questions Questions,
	check func(*v1.EvaluateStarted) error,
) (*running, error) {
	ctx, own := newCall(ctx, c, header)
	ctx, cancel := context.WithCancel(ctx)
	var at *server
	first, err := sent(ctx, c, header, func(ctx context.Context, one *server) (*connection, error) {
		at = one
		return open(ctx, one, header)
	})
	if err == nil {
		err = check(first.first)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	first.number = 1
	r := &running{
		client: c, ctx: ctx, cancel: cancel, header: header, started: first.first, told: make(chan told), begun: time.Now(),
		patience: newPatience(ctx, c.patience), failed: map[[2]string]int{}, connections: 1,
	}
	if drawn := first.first.GetHeader(); drawn != nil {
		// The same seeds on every server.
		r.header = drawn
	}
	for _, result := range earlier {
		r.known = append(r.known, known{0, result})
	}
	next, stop := iter.Pull2(questions)
	r.next = next
	context.AfterFunc(ctx, func() {
		r.reading.Lock()
		defer r.reading.Unlock()
		stop()
	})
	for _, one := range c.servers.all {
		// What a capture has kept is on one server, and the others would refuse the variants.
		if one == at || len(own.handles) == 0 {
			r.lanes = append(r.lanes, &lane{server: one})
		}
	}
	r.going = len(r.lanes)
	for _, l := range r.lanes {
		if l.server == at {
			l.open = 1
			go r.follow(l, first)
		} else {
			go r.follow(l, nil)
		}
	}
	return r, nil
}

// open sends the header alone, so that it can go again.
func open(ctx context.Context, at *server, header *v1.EvaluateHeader) (*connection, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := at.benchmarks.Evaluate(ctx)
	if err == nil {
		// What is wrong comes with what is received.
		_ = stream.Send(&v1.EvaluateRequest{Event: &v1.EvaluateRequest_Header{Header: header}})
		var first *v1.EvaluateResponse
		if first, err = stream.Recv(); err == nil {
			return &connection{stream: stream, first: first.GetStarted(), cancel: cancel}, nil
		}
	}
	cancel()
	return nil, err
}

// say hands on what a server says, unless nobody reads.
func (r *running) say(event *v1.EvaluateResponse, err error) {
	select {
	case r.told <- told{event, err}:
	case <-r.ctx.Done():
	}
}

// follow follows one server over all of its connections.
func (r *running) follow(l *lane, first *connection) {
	for first != nil || !r.isDone() {
		finished, number, err := r.connection(l, first)
		first = nil
		if err != nil {
			r.lose(l)
			if err = r.rest(l, err); err != nil {
				r.say(nil, err)
				return
			}
			continue
		}
		r.complete(l)
		if r.isSingle() {
			r.say(r.whole(finished, number), nil)
			return
		}
		for !r.hasOrphans() && !r.isDone() && rest(r.ctx, look) {
		}
	}
	r.mutex.Lock()
	r.going--
	isLast := r.going == 0
	r.mutex.Unlock()
	if isLast {
		r.say(r.tally())
	}
}

// connection reads one connection to its end.
func (r *running) connection(l *lane, c *connection) (*v1.EvaluateResponse, int, error) {
	if c == nil {
		var err error
		if c, err = r.reconnect(l); err != nil {
			return nil, 0, err
		}
	}
	defer c.cancel()
	go r.ask(l, c)
	var finished *v1.EvaluateResponse
	for {
		event, err := c.stream.Recv()
		if errors.Is(err, io.EOF) {
			if finished == nil {
				return nil, 0, &Error{Code: codes.Unavailable, Message: "the stream ended early"}
			}
			return finished, c.number, nil
		}
		if err != nil {
			return nil, 0, err
		}
		r.mutex.Lock()
		r.patience.renew()
		r.mutex.Unlock()
		switch {
		case event.GetSettled() != nil:
			r.settle(l, event.GetSettled().GetQuestions())
		case event.GetFinished() != nil:
			finished = event
		case event.GetResult() != nil:
			r.count(event.GetResult(), c.number)
			r.say(event, nil)
		case r.isSingle():
			r.say(event, nil)
		}
	}
}

func (r *running) reconnect(l *lane) (*connection, error) {
	r.mutex.Lock()
	r.connections++
	number := r.connections
	r.mutex.Unlock()
	c, err := open(r.ctx, l.server, r.header)
	if err != nil {
		return nil, err
	}
	for _, same := range [][3]string{
		{"model digest", r.started.GetModelDigest(), c.first.GetModelDigest()},
		{"server version", r.started.GetServerVersion(), c.first.GetServerVersion()},
	} {
		if same[1] != same[2] {
			c.cancel()
			return nil, &Error{Code: codes.FailedPrecondition, Message: fmt.Sprintf(
				"%s: another %s, %s; the run began with %s", l.server.address, same[0], same[2], same[1])}
		}
	}
	c.number = number
	r.mutex.Lock()
	defer r.mutex.Unlock()
	l.open, l.settled = number, 0
	return c, nil
}

// ask sends what is known and then questions; a server that ends the stream says why in what it sends.
func (r *running) ask(l *lane, c *connection) {
	defer func() { _ = c.stream.CloseSend() }()
	count, isBehind := 0, true
	for {
		asked := r.take(l, c.number, &isBehind)
		if isBehind {
			isBehind = false
			for _, result := range r.news(&count, c.number) {
				if c.stream.Send(&v1.EvaluateRequest{Event: &v1.EvaluateRequest_Known{Known: result}}) != nil {
					return
				}
			}
		}
		if asked == nil {
			return
		}
		// The result of this question will say what is wrong, or the connection is lost.
		_ = r.client.bring(r.ctx, l.server, handlesOf(asked))
		if c.stream.Send(asked) != nil {
			return
		}
	}
}

// news are results that a server needs before it is asked what another one was asked, so that nothing is answered twice; count is of those
// that it knows.
func (r *running) news(count *int, number int) []*v1.SampleResult {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var all []*v1.SampleResult
	for _, one := range r.known[*count:] {
		if one.of != number {
			all = append(all, one.result)
		}
	}
	*count = len(r.known)
	return all
}

// take is the next question for a connection; nil where there is none for now.
func (r *running) take(l *lane, number int, isBehind *bool) *v1.EvaluateRequest {
	for {
		if asked := r.waiting(l, number, isBehind); asked != nil {
			return asked
		}
		asked, again := r.read(l, number, isBehind)
		if asked != nil || !again {
			return asked
		}
	}
}

// read reads a question, and places it; true where the caller should look again.
func (r *running) read(l *lane, number int, isBehind *bool) (*v1.EvaluateRequest, bool) {
	r.reading.Lock()
	defer r.reading.Unlock()
	// What another connection has read in the meantime may be for this one.
	if asked := r.waiting(l, number, isBehind); asked != nil {
		return asked, false
	}
	r.mutex.Lock()
	isOver := r.isRead || l.open != number || r.ctx.Err() != nil
	r.mutex.Unlock()
	if isOver {
		return nil, false
	}
	asked, err, more := r.next()
	picture := ""
	if !r.isSingle() && more && err == nil {
		picture = pictureAsked(asked)
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !more || err != nil {
		r.isRead, r.broken = true, err
		return nil, false
	}
	owner := l
	for _, other := range r.lanes {
		weight := weightOf(other.server.address, picture)
		if picture != "" && other.open != 0 && weight > weightOf(owner.server.address, picture) {
			owner = other
		}
	}
	switch {
	case l.open != number:
		r.orphans = append(r.orphans, asked)
		return nil, false
	case owner != l && len(owner.backlog) < backlogCount:
		owner.backlog = append(owner.backlog, asked)
		return nil, true
	}
	l.pending = append(l.pending, asked)
	return asked, false
}

func (r *running) waiting(l *lane, number int, isBehind *bool) *v1.EvaluateRequest {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	from := &r.orphans
	if len(*from) == 0 {
		from = &l.backlog
	}
	if l.open != number || len(*from) == 0 {
		return nil
	}
	*isBehind = *isBehind || from == &r.orphans
	asked := (*from)[0]
	*from = (*from)[1:]
	l.pending = append(l.pending, asked)
	return asked
}

func (r *running) settle(l *lane, questions uint64) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for l.settled < questions && len(l.pending) > 0 {
		l.pending[0] = nil
		l.pending = l.pending[1:]
		l.settled++
	}
}

func (r *running) count(result *v1.SampleResult, number int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	name := [2]string{result.GetId(), result.GetVariant()}
	r.answers++
	r.computed += result.GetUsage().GetRowsComputed()
	if result.GetError() != nil {
		r.failed[name] = number
		return
	}
	delete(r.failed, name)
	r.known = append(r.known, known{number, result})
}

// complete ends a connection whose questions are all answered.
func (r *running) complete(l *lane) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.orphans = append(r.orphans, l.backlog...)
	l.open, l.pending, l.backlog = 0, nil, nil
}

// lose takes back what was on its way.
func (r *running) lose(l *lane) {
	r.mutex.Lock()
	r.orphans = append(append(r.orphans, l.pending...), l.backlog...)
	l.open, l.pending, l.backlog = 0, nil, nil
	r.mutex.Unlock()
	r.client.servers.forget(l.server, nil)
}

func (r *running) isSingle() bool { return len(r.lanes) == 1 }

func (r *running) hasOrphans() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return len(r.orphans) > 0
}

func (r *running) isDone() bool {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	isBusy := func(l *lane) bool { return len(l.pending)+len(l.backlog) > 0 }
	return r.isRead && len(r.orphans) == 0 && !slices.ContainsFunc(r.lanes, isBusy)
}

// rest waits until a server that was lost may be there again; an error where that takes too long.
func (r *running) rest(l *lane, err error) error {
	var e *Error
	if !errors.As(failed(err), &e) {
		return err
	}
	if said, _ := metadata.FromOutgoingContext(r.ctx); len(said.Get("x-request-id")) > 0 {
		e = e.of(said.Get("x-request-id")[0])
	}
	if !e.isLost() {
		return e
	}
	l.server.lost()
	r.mutex.Lock()
	wait, again := r.patience.wait(e)
	isLive := slices.ContainsFunc(r.lanes, func(l *lane) bool { return l.open != 0 })
	r.mutex.Unlock()
	if !again {
		if !isLive {
			return e.saying(e.Message + "; " + r.missing())
		}
		wait = time.Second // Others go on.
	}
	for until := time.Now().Add(wait); time.Now().Before(until) && !r.isDone(); {
		if !rest(r.ctx, min(look, wait)) {
			return e
		}
	}
	return nil
}

func (r *running) missing() string {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	asked := len(r.orphans)
	for _, l := range r.lanes {
		asked += len(l.pending) + len(l.backlog)
	}
	left := ""
	if !r.isRead {
		left = ", and all to questions that were not asked yet"
	}
	return fmt.Sprintf("%d answers came, up to %d to %d questions that were asked are missing%s",
		r.answers, asked*max(1, len(r.header.GetVariants())), asked, left)
}

// whole adds to the end what only earlier connections have seen.
func (r *running) whole(event *v1.EvaluateResponse, number int) *v1.EvaluateResponse {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if finished := event.GetFinished(); number > 1 {
		for _, of := range r.failed {
			if of < number {
				finished.Results++
				finished.Failed++
			}
		}
		finished.RowsComputed = max(finished.GetRowsComputed(), r.computed)
		finished.TotalSeconds = time.Since(r.begun).Seconds()
	}
	return event
}

// tally asks a server what the results of all of them come to.
func (r *running) tally() (*v1.EvaluateResponse, error) {
	header := proto.Clone(r.header).(*v1.EvaluateHeader)
	// Nothing is judged again.
	header.Unjudged = true
	ctx := withoutNames(r.ctx)
	last, err := sent(ctx, r.client, nil, func(ctx context.Context, at *server) (*v1.EvaluateResponse, error) {
		c, err := open(ctx, at, header)
		if err != nil {
			return nil, err
		}
		defer c.cancel()
		for _, result := range r.news(new(int), -1) {
			if c.stream.Send(&v1.EvaluateRequest{Event: &v1.EvaluateRequest_Known{Known: result}}) != nil {
				break
			}
		}
		_ = c.stream.CloseSend()
		for {
			event, err := c.stream.Recv()
			if err != nil || event.GetFinished() != nil {
				return event, err
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return r.whole(last, r.connections+1), nil
}

// withoutNames is a context for a call of its own.
func withoutNames(ctx context.Context) context.Context {
	said, _ := metadata.FromOutgoingContext(ctx)
	said = said.Copy()
	said.Delete("idempotency-key")
	said.Delete("x-scotoma-picture")
	return metadata.NewOutgoingContext(ctx, said)
}

func handlesOf(asked *v1.EvaluateRequest) []string {
	var handles []string
	for _, image := range asked.GetSample().GetImages() {
		if handle := image.GetHandle(); handle != "" {
			handles = append(handles, handle)
		}
	}
	return handles
}

// pictureAsked says of a question which picture it is about, as well as a client can know.
func pictureAsked(asked *v1.EvaluateRequest) string {
	for _, image := range append(asked.GetSample().GetImages(), asked.GetRow().GetImages()...) {
		return digestOf(image)
	}
	row := asked.GetRow()
	if row == nil {
		return ""
	}
	first := ""
	for name := range row.GetFiles() {
		if first == "" || name < first {
			first = name
		}
	}
	if first != "" {
		return hashOf(row.GetFiles()[first])
	}
	// Of a table the longest cell is its picture in base64, if it has one.
	longest := ""
	longer := func(text string) {
		if len(text) > len(longest) {
			longest = text
		}
	}
	for _, cell := range row.GetCells() {
		longer(cell)
	}
	for text := range strings.SplitSeq(row.GetJson(), `"`) {
		longer(text)
	}
	return hashOf([]byte(longest))
}
