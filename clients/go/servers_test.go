package scotoma

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

// A fake scores and keeps uploads; refusals come first.
type fake struct {
	v1.UnimplementedInferenceServiceServer
	address string
	stop    func()
	health  *health.Server

	mutex    sync.Mutex
	refusals []error
	calls    []metadata.MD
	uploads  map[string]bool
}

func startFake(t *testing.T) *fake {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	f := &fake{address: listener.Addr().String(), stop: server.Stop, health: health.NewServer(), uploads: map[string]bool{}}
	v1.RegisterInferenceServiceServer(server, f)
	healthv1.RegisterHealthServer(server, f.health)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return f
}

func (f *fake) UploadImage(_ context.Context, request *v1.UploadImageRequest) (*v1.UploadImageResponse, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	handle := hashOf(request.GetData())
	f.uploads[handle] = true
	return &v1.UploadImageResponse{Handle: handle}, nil
}

func (f *fake) Score(ctx context.Context, request *v1.ScoreRequest) (*v1.ScoreResponse, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	said, _ := metadata.FromIncomingContext(ctx)
	f.calls = append(f.calls, said)
	if len(f.refusals) > 0 {
		refusal := f.refusals[0]
		f.refusals = f.refusals[1:]
		return nil, refusal
	}
	for _, image := range request.GetPrompt().GetImages() {
		if handle := image.GetHandle(); handle != "" && !f.uploads[handle] {
			return nil, refusal(codes.NotFound, "UNKNOWN_IMAGE", 0)
		}
	}
	return &v1.ScoreResponse{}, nil
}

func refusal(code codes.Code, reason string, delay time.Duration) error {
	said := status.New(code, "refused")
	said, _ = said.WithDetails(&errdetails.ErrorInfo{Reason: reason, Metadata: map[string]string{"request_id": "of-the-server"}})
	if delay > 0 {
		said, _ = said.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	return said.Err()
}

func connect(t *testing.T, address string, options ...Option) *Client {
	t.Helper()
	client, err := NewClient(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func score(t *testing.T, ctx context.Context, client *Client, images ...*v1.Image) {
	t.Helper()
	if err := tryScore(ctx, client, images...); err != nil {
		t.Fatal(err)
	}
}

func tryScore(ctx context.Context, client *Client, images ...*v1.Image) error {
	request := &v1.ScoreRequest{Prompt: Prompt("?", images...), Continuations: []string{"yes", "no"}}
	_, err := client.Score(ctx, request)
	return err
}

func TestOneCallIsOneCallOverAllOfItsTries(t *testing.T) {
	f := startFake(t)
	client := connect(t, f.address, WithTraceparent(func(context.Context) string { return "00-1-2-01" }))
	goingDown := refusal(codes.Unavailable, "DRAINING", 20*time.Millisecond)
	f.refusals = []error{goingDown, goingDown}
	score(t, t.Context(), client, Image([]byte("a picture")))
	mine := metadata.AppendToOutgoingContext(t.Context(), "idempotency-key", "mine", "x-request-id", "r", "traceparent", "00-3-4-01")
	score(t, mine, client)
	if len(f.calls) != 4 {
		t.Fatalf("%d calls", len(f.calls))
	}
	sum := blake3.Sum256([]byte("a picture"))
	for _, name := range []string{"idempotency-key", "x-request-id", "x-scotoma-picture", "traceparent"} {
		first := f.calls[0].Get(name)
		for _, again := range f.calls[1:3] {
			if len(first) != 1 || again.Get(name)[0] != first[0] {
				t.Errorf("%s: %v, then %v", name, first, again.Get(name))
			}
		}
	}
	if got := f.calls[0].Get("x-scotoma-picture")[0]; got != hashOf([]byte("a picture")) || len(got) != 2*len(sum) {
		t.Errorf("picture: %s", got)
	}
	for name, want := range map[string]string{"idempotency-key": "mine", "x-request-id": "r", "traceparent": "00-3-4-01"} {
		if got := f.calls[3].Get(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatIsNotWorthWaitingForIsNotWaitedFor(t *testing.T) {
	f := startFake(t)
	client := connect(t, f.address, WithPatience(0))
	var e *Error
	f.refusals = []error{refusal(codes.Unavailable, "DRAINING", time.Second)}
	if err := tryScore(t.Context(), client); !errors.As(err, &e) || e.RetryAfter != time.Second || e.RequestID != "of-the-server" {
		t.Fatal(err)
	}
	client = connect(t, f.address)
	f.refusals = []error{refusal(codes.Unavailable, "HUB", 0)}
	if err := tryScore(t.Context(), client); !errors.As(err, &e) || e.Reason != "HUB" {
		t.Fatal(err)
	}
	gone := connect(t, "127.0.0.1:1", WithPatience(300*time.Millisecond))
	begun := time.Now()
	if err := tryScore(t.Context(), gone); !errors.As(err, &e) || e.Code != codes.Unavailable || e.RequestID == "" {
		t.Fatal(err)
	}
	if took := time.Since(begun); took < 200*time.Millisecond || took > 3*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestTheWeightsAreThoseOfAllClients(t *testing.T) {
	if a, b := weightOf("a:1", "00ff")[:8], weightOf("b:1", "00ff")[:8]; a != "9eadcb83" || b != "94944b58" {
		t.Error(a, b)
	}
}

func TestAPictureHasItsServerAndAnotherOneWhenThatIsGone(t *testing.T) {
	a, b := startFake(t), startFake(t)
	client := connect(t, a.address, WithServers(b.address))
	picture := func(i int) *v1.Image { return Image([]byte{byte(i)}) }
	for i := range 48 {
		score(t, t.Context(), client, picture(i%24))
	}
	for _, f := range []*fake{a, b} {
		if len(f.calls) < 4 {
			t.Errorf("%d calls", len(f.calls))
		}
		for _, call := range f.calls {
			own := call.Get("x-scotoma-picture")[0]
			if weightOf(f.address, own) != max(weightOf(a.address, own), weightOf(b.address, own)) {
				t.Error("another server's picture")
			}
		}
	}
	a.stop()
	begun := time.Now()
	for i := range 24 {
		score(t, t.Context(), client, picture(i))
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestAServerThatDoesNotServeGetsNoNewCalls(t *testing.T) {
	a, b := startFake(t), startFake(t)
	a.health.SetServingStatus("", healthv1.HealthCheckResponse_NOT_SERVING)
	client := connect(t, a.address, WithServers(b.address))
	for i := range 12 {
		score(t, t.Context(), client, Image([]byte{byte(i)}))
	}
	if len(a.calls) != 0 || len(b.calls) != 12 {
		t.Error(len(a.calls), len(b.calls))
	}
}

func TestUploadsGoWhereTheyAreNeeded(t *testing.T) {
	a, b := startFake(t), startFake(t)
	client := connect(t, a.address, WithServers(b.address))
	image, err := client.UploadImage(t.Context(), []byte("a picture"))
	if err != nil {
		t.Fatal(err)
	}
	holder, other := a, b
	if len(a.uploads) == 0 {
		holder, other = b, a
	}
	score(t, t.Context(), client, image)
	clear(holder.uploads)
	score(t, t.Context(), client, image)
	if len(holder.uploads) != 1 || len(other.calls) != 0 {
		t.Error("one that has lost it gets it again")
	}
	holder.stop()
	score(t, t.Context(), client, image)
	if len(other.uploads) != 1 {
		t.Error("the other one gets it")
	}
	unknown := &v1.Image{Source: &v1.Image_Handle{Handle: "00"}}
	if err := tryScore(t.Context(), client, unknown); err == nil || !strings.Contains(err.Error(), "upload it again") {
		t.Error(err)
	}
}

func TestAnAddressStandsThereOnce(t *testing.T) {
	if _, err := NewClient("a:1", WithServers("http://a:1")); err == nil {
		t.Error("twice")
	}
}

func TestRequestsGoWhereTheirActivationsAre(t *testing.T) {
	patches := func(handle string) []*v1.Intervention { return []*v1.Intervention{PatchKept(nil, handle)} }
	attribute := &v1.AttributeRequest{Interventions: patches("a"), Source: &v1.TraceInput{Interventions: patches("b")}}
	header := &v1.EvaluateHeader{Variants: []*v1.EvaluateVariant{{}, {Interventions: patches("c")}}}
	for _, row := range []struct {
		request any
		want    []string
	}{{attribute, []string{"a", "b"}}, {header, []string{"c"}}} {
		if _, own := newCall(context.Background(), &Client{}, row.request); !slices.Equal(own.handles, row.want) {
			t.Errorf("%T: %v, not %v", row.request, own.handles, row.want)
		}
	}
}
