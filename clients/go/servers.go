package scotoma

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

const (
	// Of several servers each is asked again after this time whether it serves.
	healthEvery   = 2 * time.Second
	healthTimeout = time.Second
	// Bytes of uploads that are kept, so that they can go to another server; and how many handles are remembered.
	uploadBytes = 64 << 20
	handleCount = 1 << 14
)

// A server is one server.
type server struct {
	address    string
	conn       *grpc.ClientConn
	inference  v1.InferenceServiceClient
	models     v1.ModelServiceClient
	benchmarks v1.BenchmarkServiceClient
	health     health.HealthClient

	mutex   sync.Mutex
	isUp    bool
	checked time.Time
}

func newServer(address string, conn *grpc.ClientConn) *server {
	return &server{
		address: bare(address), conn: conn, isUp: true, health: health.NewHealthClient(conn),
		inference: v1.NewInferenceServiceClient(conn), models: v1.NewModelServiceClient(conn),
		benchmarks: v1.NewBenchmarkServiceClient(conn),
	}
}

// bare is an address without its scheme.
func bare(address string) string {
	return strings.TrimRight(strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://"), "/")
}

func inference(s *server) v1.InferenceServiceClient  { return s.inference }
func models(s *server) v1.ModelServiceClient         { return s.models }
func benchmarks(s *server) v1.BenchmarkServiceClient { return s.benchmarks }

// serves asks the health service, now and then.
func (s *server) serves(ctx context.Context) bool {
	s.mutex.Lock()
	if time.Since(s.checked) < healthEvery {
		defer s.mutex.Unlock()
		return s.isUp
	}
	s.checked = time.Now()
	s.mutex.Unlock()
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	said, err := s.health.Check(ctx, &health.HealthCheckRequest{})
	// One that has no such service may serve.
	isUp := status.Code(err) == codes.Unimplemented || said.GetStatus() == health.HealthCheckResponse_SERVING
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.isUp = isUp
	return isUp
}

// lost gets no new calls for a while.
func (s *server) lost() {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.isUp, s.checked = false, time.Now()
}

// servers are all of a client, and what each of them holds.
type servers struct {
	all []*server

	mutex   sync.Mutex
	turn    int
	holders map[string]map[*server]bool
	handles []string
	bytes   map[string][]byte
	kept    []string
	size    int
}

// pick is the server for a call: that of its handles, of its picture, or the next one; tried are those that have just been lost.
func (s *servers) pick(ctx context.Context, own call, tried []*server) *server {
	if len(s.all) == 1 {
		return s.all[0]
	}
	order := slices.Clone(s.all)
	s.mutex.Lock()
	if own.picture != "" {
		slices.SortFunc(order, func(a, b *server) int {
			return strings.Compare(weightOf(b.address, own.picture), weightOf(a.address, own.picture))
		})
	} else {
		s.turn = (s.turn + 1) % len(order)
		order = append(order[s.turn:], order[:s.turn]...)
	}
	for _, handle := range slices.Backward(own.handles) {
		slices.SortStableFunc(order, func(a, b *server) int {
			switch has, other := s.holders[handle][a], s.holders[handle][b]; {
			case has == other:
				return 0
			case has:
				return -1
			}
			return 1
		})
	}
	s.mutex.Unlock()
	left := slices.DeleteFunc(slices.Clone(order), func(one *server) bool { return slices.Contains(tried, one) })
	if len(left) == 0 {
		left = order
	}
	for _, one := range left {
		if one.serves(ctx) {
			return one
		}
	}
	return left[0]
}

// uploaded remembers that a server holds something, and its bytes for the case that it goes.
func (s *servers) uploaded(at *server, handle string, data []byte) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.holders[handle] == nil {
		s.holders[handle] = map[*server]bool{}
		s.handles = append(s.handles, handle)
	}
	s.holders[handle][at] = true
	for len(s.handles) > handleCount {
		delete(s.holders, s.handles[0])
		s.handles = s.handles[1:]
	}
	if _, there := s.bytes[handle]; there || data == nil || len(data) > uploadBytes {
		return
	}
	s.bytes[handle] = data
	s.kept = append(s.kept, handle)
	for s.size += len(data); s.size > uploadBytes; s.kept = s.kept[1:] {
		s.size -= len(s.bytes[s.kept[0]])
		delete(s.bytes, s.kept[0])
	}
}

// forget counts on nothing of these that a server held; of nil, on nothing at all.
func (s *servers) forget(at *server, handles []string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if handles == nil {
		handles = s.handles
	}
	for _, handle := range handles {
		delete(s.holders[handle], at)
	}
}

// missing is the bytes of an upload that a server has not.
func (s *servers) missing(at *server, handle string) []byte {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.holders[handle][at] {
		return nil
	}
	return s.bytes[handle]
}

// bring uploads the pictures that are named and that a server has not, as far as their bytes are still there.
func (c *Client) bring(ctx context.Context, at *server, handles []string) error {
	for _, handle := range handles {
		data := c.servers.missing(at, handle)
		if data == nil {
			continue
		}
		request := &v1.UploadImageRequest{Data: data}
		ctx, _ := newCall(withoutNames(ctx), c, request)
		if _, err := at.inference.UploadImage(ctx, request); err != nil {
			return err
		}
		c.servers.uploaded(at, handle, nil)
	}
	return nil
}

// sent sends a call until it is answered, is refused for good, or the patience or the time is over.
func sent[T any](
	ctx context.Context, c *Client, request any, send func(context.Context, *server) (T, error),
) (T, error) {
	ctx, own := newCall(ctx, c, request)
	wait, brought := newPatience(ctx, c.patience), false
	var tried []*server
	for {
		at := c.servers.pick(ctx, own, tried)
		var answer T
		err := c.bring(ctx, at, own.handles)
		if err == nil {
			answer, err = send(ctx, at)
		}
		err = failed(err)
		var e *Error
		if !errors.As(err, &e) {
			return answer, err
		}
		e = e.of(own.requestID)
		if e.Reason == "UNKNOWN_IMAGE" && len(own.handles) > 0 {
			c.servers.forget(at, own.handles)
			canBring := slices.ContainsFunc(own.handles, func(h string) bool { return c.servers.missing(at, h) != nil })
			if brought || !canBring {
				return answer, e.saying(fmt.Sprintf("%s; this client does not have its bytes any more (it keeps the last "+
					"%d MiB of what it uploads): upload it again", e.Message, uploadBytes>>20))
			}
			brought = true
			continue
		}
		if !e.isLost() {
			return answer, e
		}
		at.lost()
		if tried = append(tried, at); len(tried) < len(c.servers.all) {
			continue
		}
		tried = nil
		for_, again := wait.wait(e)
		if !again || !rest(ctx, for_) {
			return answer, e
		}
	}
}

// unary makes a call of one message and one answer.
func unary[S, Q, A any](
	ctx context.Context, c *Client, service func(*server) S,
	method func(S, context.Context, Q, ...grpc.CallOption) (A, error), request Q,
) (A, error) {
	return sent(ctx, c, request, func(ctx context.Context, at *server) (A, error) {
		return method(service(at), ctx, request)
	})
}
