// Package scotoma is the client of the Scotoma server, which runs vision-language models under composable interventions.
//
// Requests are the messages of package scotomav1; every call takes a context, whose deadline is the call's. Iterating over an answer is
// streaming, and leaving the loop cancels.
package scotoma

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

const maxMessageBytes = 64 << 20

// A Client is a connection to a server, or to several that answer the same; safe for use by several goroutines.
//
// Calls carry the outgoing metadata of their context: x-request-id and, of calls that are no streams, idempotency-key are drawn where a
// caller sets none, traceparent is passed on, and x-scotoma-picture is the BLAKE3 of the first picture.
type Client struct {
	servers     *servers
	patience    time.Duration
	traceparent func(context.Context) string
}

type settings struct {
	others      []string
	tls         *tls.Config
	key         apiKey
	keepalive   time.Duration
	patience    time.Duration
	traceparent func(context.Context) string
	dial        []grpc.DialOption
}

// An Option says how a server is reached.
type Option func(*settings)

// WithTLS encrypts the connection: certificates that the server's may be signed by are in config.RootCAs (nil: the system's), this client's
// own in config.Certificates. An address that begins with https:// needs no option for the system's.
func WithTLS(config *tls.Config) Option { return func(s *settings) { s.tls = config } }

// WithAPIKey says the key that the server knows this client by.
func WithAPIKey(key string) Option { return func(s *settings) { s.key = apiKey(key) } }

// WithKeepalive asks a connection on which calls run for a sign of life after so long a silence (10 seconds at least, as gRPC has it), and
// gives it up after as long again; 30 seconds unless said otherwise.
func WithKeepalive(interval time.Duration) Option {
	return func(s *settings) { s.keepalive = interval }
}

// WithServers names further servers that answer the same: calls about one picture go to one of them, and to another where it is lost.
func WithServers(addresses ...string) Option {
	return func(s *settings) { s.others = append(s.others, addresses...) }
}

// WithPatience is how long a call waits for a server whose connection is lost before the call's first message, or that refuses it because
// it is going down; a minute unless said otherwise, 0: not at all. After its first message a call is never tried again, but a benchmark
// goes on with what is not answered.
func WithPatience(patience time.Duration) Option {
	return func(s *settings) { s.patience = patience }
}

// WithTraceparent says the span that a call belongs to (W3C trace context), from its context.
func WithTraceparent(traceparent func(context.Context) string) Option {
	return func(s *settings) { s.traceparent = traceparent }
}

// WithDialOptions hands further options to gRPC.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}

// NewClient makes a client of the server at an address such as 127.0.0.1:7878, or https://host:port; WithServers names others that answer
// the same. The first call connects.
func NewClient(address string, options ...Option) (*Client, error) {
	s := settings{keepalive: 30 * time.Second, patience: time.Minute}
	for _, option := range options {
		option(&s)
	}
	c := &Client{
		servers:  &servers{holders: map[string]map[*server]bool{}, bytes: map[string][]byte{}},
		patience: s.patience, traceparent: s.traceparent,
	}
	for _, one := range append([]string{address}, s.others...) {
		if slices.ContainsFunc(c.servers.all, func(other *server) bool { return other.address == bare(one) }) {
			return nil, errors.Join(fmt.Errorf("address: %s stands there twice", bare(one)), c.Close())
		}
		conn, err := s.connect(one)
		if err != nil {
			return nil, errors.Join(err, c.Close())
		}
		c.servers.all = append(c.servers.all, newServer(one, conn))
	}
	return c, nil
}

func (s *settings) connect(address string) (*grpc.ClientConn, error) {
	config := s.tls
	if config == nil && strings.HasPrefix(address, "https://") {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	transport := insecure.NewCredentials()
	if config != nil {
		transport = credentials.NewTLS(config)
	}
	// A server that comes back is seen soon; by default gRPC looks after up to two minutes.
	again := backoff.Config{BaseDelay: 200 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 2 * time.Second}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: s.keepalive, Timeout: s.keepalive}),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: again, MinConnectTimeout: 20 * time.Second}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)),
		grpc.WithDisableRetry(),
	}
	if s.key != "" {
		dial = append(dial, grpc.WithPerRPCCredentials(s.key))
	}
	return grpc.NewClient(bare(address), append(dial, s.dial...)...)
}

// Close ends the connections and every call on them.
func (c *Client) Close() error {
	var all []error
	for _, one := range c.servers.all {
		all = append(all, one.conn.Close())
	}
	return errors.Join(all...)
}

// apiKey goes with every call.
type apiKey string

func (k apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(k)}, nil
}

// RequireTransportSecurity leaves it to the user: a key over plain text is fine on one's own machine.
func (k apiKey) RequireTransportSecurity() bool { return false }

// Generate streams an answer.
func (c *Client) Generate(ctx context.Context, request *v1.GenerateRequest) (*Answer, error) {
	s, err := begin(ctx, c, inference, v1.InferenceServiceClient.Generate, request)
	if err != nil {
		return nil, err
	}
	return &Answer{Started: s.first.GetStarted(), stream: s}, nil
}

// Score gives the likelihood of each continuation.
func (c *Client) Score(ctx context.Context, request *v1.ScoreRequest) (*v1.ScoreResponse, error) {
	return unary(ctx, c, inference, v1.InferenceServiceClient.Score, request)
}

// Sweep asks one input under many variants; results come as they are done.
func (c *Client) Sweep(ctx context.Context, request *v1.SweepRequest) (*Sweep, error) {
	s, err := begin(ctx, c, inference, v1.InferenceServiceClient.Sweep, request)
	if err != nil {
		return nil, err
	}
	return &Sweep{Started: s.first.GetStarted(), stream: s}, nil
}

// Capture takes activations at hook points.
func (c *Client) Capture(ctx context.Context, request *v1.CaptureRequest) (*Capture, error) {
	s, err := begin(ctx, c, inference, v1.InferenceServiceClient.Capture, request)
	if err != nil {
		return nil, err
	}
	keep := func(handle string) { c.servers.uploaded(s.server, handle, nil) }
	return &Capture{Started: s.first.GetStarted(), stream: s, dtype: request.GetDtype(), keep: keep}, nil
}

// Trace patches activations of one run into another, place by place.
func (c *Client) Trace(ctx context.Context, request *v1.TraceRequest) (*Trace, error) {
	s, err := begin(ctx, c, inference, v1.InferenceServiceClient.Trace, request)
	if err != nil {
		return nil, err
	}
	return &Trace{Started: s.first.GetStarted(), stream: s}, nil
}

// Attribute says how much each row of a run matters for an answer, by its gradient.
func (c *Client) Attribute(ctx context.Context, request *v1.AttributeRequest) (*Attribution, error) {
	s, err := begin(ctx, c, inference, v1.InferenceServiceClient.Attribute, request)
	if err != nil {
		return nil, err
	}
	return &Attribution{Started: s.first.GetStarted(), stream: s}, nil
}

// Preview shows the picture as the model will see it.
func (c *Client) Preview(ctx context.Context, request *v1.PreviewRequest) (*v1.PreviewResponse, error) {
	return unary(ctx, c, inference, v1.InferenceServiceClient.Preview, request)
}

// Verify runs a recorded answer again and says whether the bits agree.
func (c *Client) Verify(ctx context.Context, request *v1.VerifyRequest) (*v1.VerifyResponse, error) {
	return unary(ctx, c, inference, v1.InferenceServiceClient.Verify, request)
}

// UploadImage keeps a picture on the server; what comes back stands for it in later requests.
func (c *Client) UploadImage(ctx context.Context, data []byte) (*v1.Image, error) {
	request := &v1.UploadImageRequest{Data: data}
	return sent(ctx, c, request, func(ctx context.Context, at *server) (*v1.Image, error) {
		response, err := at.inference.UploadImage(ctx, request)
		if err != nil {
			return nil, err
		}
		c.servers.uploaded(at, response.GetHandle(), data)
		return &v1.Image{Source: &v1.Image_Handle{Handle: response.GetHandle()}}, nil
	})
}

// Describe lists the rule sets that the server knows.
func (c *Client) Describe(ctx context.Context) ([]*v1.RuleInfo, error) {
	response, err := unary(ctx, c, benchmarks, v1.BenchmarkServiceClient.Describe, &v1.DescribeRequest{})
	return response.GetRules(), err
}

// ListModels lists the resident models in the order of loading.
func (c *Client) ListModels(ctx context.Context) ([]*v1.ModelInfo, error) {
	response, err := unary(ctx, c, models, v1.ModelServiceClient.ListModels, &v1.ListModelsRequest{})
	return response.GetModels(), err
}

// GetModel describes a resident model; the first one where model is empty.
func (c *Client) GetModel(ctx context.Context, model string) (*v1.ModelInfo, error) {
	response, err := unary(ctx, c, models, v1.ModelServiceClient.GetModel, &v1.GetModelRequest{Model: model})
	return response.GetModel(), err
}

// ListHookPoints lists the named places in a model's forward pass, in data-path order.
func (c *Client) ListHookPoints(ctx context.Context, model string) ([]*v1.HookPoint, error) {
	response, err := unary(ctx, c, models, v1.ModelServiceClient.ListHookPoints, &v1.ListHookPointsRequest{Model: model})
	return response.GetHookPoints(), err
}

// LoadModel makes a model resident: progress, then the model.
func (c *Client) LoadModel(
	ctx context.Context, request *v1.LoadModelRequest,
) (iter.Seq2[*v1.LoadModelResponse, error], error) {
	s, err := begin(ctx, c, models, v1.ModelServiceClient.LoadModel, request)
	if err != nil {
		return nil, err
	}
	return s.all(), nil
}

// UnloadModel takes a model away, waits for the requests that run on it, and returns the bytes that became free.
func (c *Client) UnloadModel(ctx context.Context, model string) (uint64, error) {
	response, err := unary(ctx, c, models, v1.ModelServiceClient.UnloadModel, &v1.UnloadModelRequest{Model: model})
	return response.GetFreedBytes(), err
}

// LoadProjector makes the projector in a file of the server resident under a name.
func (c *Client) LoadProjector(ctx context.Context, model, name, file string) (*v1.ModelInfo, error) {
	request := &v1.LoadProjectorRequest{Model: model, Name: name, File: file}
	response, err := unary(ctx, c, models, v1.ModelServiceClient.LoadProjector, request)
	return response.GetModel(), err
}

// CheckParity runs the golden set of a model: cases as they are compared, then the report.
func (c *Client) CheckParity(ctx context.Context, model string) (iter.Seq2[*v1.CheckParityResponse, error], error) {
	s, err := begin(ctx, c, models, v1.ModelServiceClient.CheckParity, &v1.CheckParityRequest{Model: model})
	if err != nil {
		return nil, err
	}
	return s.all(), nil
}

// Prompt is a question about pictures.
func Prompt(text string, images ...*v1.Image) *v1.Prompt {
	return &v1.Prompt{Text: text, Images: images}
}

// Messages is a conversation of several turns; a last message of the assistant is continued.
func Messages(messages ...*v1.ChatMessage) *v1.Prompt { return &v1.Prompt{Messages: messages} }

// System is rules for the whole conversation.
func System(text string) *v1.ChatMessage { return message(v1.Role_ROLE_SYSTEM, TextPart(text)) }

// User is what the user says: words and pictures in their order.
func User(parts ...*v1.ChatPart) *v1.ChatMessage { return message(v1.Role_ROLE_USER, parts...) }

// Assistant is what the assistant has answered, or, in the last message, the beginning of its answer.
func Assistant(text string) *v1.ChatMessage {
	return message(v1.Role_ROLE_ASSISTANT, TextPart(text))
}

// TextPart is words in a message.
func TextPart(text string) *v1.ChatPart { return &v1.ChatPart{Part: &v1.ChatPart_Text{Text: text}} }

// ImagePart is a picture in a message.
func ImagePart(image *v1.Image) *v1.ChatPart {
	return &v1.ChatPart{Part: &v1.ChatPart_Image{Image: image}}
}

func message(role v1.Role, parts ...*v1.ChatPart) *v1.ChatMessage {
	return &v1.ChatMessage{Role: role, Parts: parts}
}

// Image is a picture as the bytes of its file: PNG, JPEG or WebP.
func Image(data []byte) *v1.Image { return &v1.Image{Source: &v1.Image_Data{Data: data}} }

// ReadImage is the picture in a file.
func ReadImage(path string) (*v1.Image, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Image(data), nil
}
