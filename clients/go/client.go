// Package scotoma is the client of the Scotoma server, which runs vision-language models under composable interventions.
//
// Requests are the messages of package scotomav1; every call takes a context, whose deadline is the call's. Iterating over an answer is
// streaming, and leaving the loop cancels.
package scotoma

import (
	"context"
	"crypto/tls"
	"errors"
	"iter"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

const (
	maxMessageBytes = 64 << 20
	firstWait       = 100 * time.Millisecond
)

// A Client is a connection to a server; safe for use by several goroutines.
type Client struct {
	conn       *grpc.ClientConn
	inference  v1.InferenceServiceClient
	models     v1.ModelServiceClient
	benchmarks v1.BenchmarkServiceClient
	attempts   int
}

type settings struct {
	tls       *tls.Config
	key       apiKey
	keepalive time.Duration
	attempts  int
	dial      []grpc.DialOption
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

// WithAttempts is how often a call is tried whose connection is lost before its first message, or that a server refuses because it is going
// down; 4 unless said otherwise. After its first message a call is never tried again.
func WithAttempts(attempts int) Option { return func(s *settings) { s.attempts = max(1, attempts) } }

// WithDialOptions hands further options to gRPC.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) { s.dial = append(s.dial, options...) }
}

// NewClient makes a client of the server at an address such as 127.0.0.1:7878, or https://host:port. The first call connects.
func NewClient(address string, options ...Option) (*Client, error) {
	s := settings{keepalive: 30 * time.Second, attempts: 4}
	if strings.HasPrefix(address, "https://") {
		s.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	for _, option := range options {
		option(&s)
	}
	transport := insecure.NewCredentials()
	if s.tls != nil {
		transport = credentials.NewTLS(s.tls)
	}
	dial := []grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: s.keepalive, Timeout: s.keepalive}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes)),
		grpc.WithDisableRetry(),
	}
	if s.key != "" {
		dial = append(dial, grpc.WithPerRPCCredentials(s.key))
	}
	target := strings.TrimPrefix(strings.TrimPrefix(address, "https://"), "http://")
	conn, err := grpc.NewClient(target, append(dial, s.dial...)...)
	if err != nil {
		return nil, err
	}
	return &Client{
		conn:       conn,
		inference:  v1.NewInferenceServiceClient(conn),
		models:     v1.NewModelServiceClient(conn),
		benchmarks: v1.NewBenchmarkServiceClient(conn),
		attempts:   s.attempts,
	}, nil
}

// Close ends the connection and every call on it.
func (c *Client) Close() error { return c.conn.Close() }

// apiKey goes with every call.
type apiKey string

func (k apiKey) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + string(k)}, nil
}

// RequireTransportSecurity leaves it to the user: a key over plain text is fine on one's own machine.
func (k apiKey) RequireTransportSecurity() bool { return false }

// retried sends a call until it is answered, is refused for good, or the attempts or the time are used up.
func retried[T any](ctx context.Context, c *Client, send func(context.Context) (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		answer, err := send(ctx)
		err = failed(err)
		var e *Error
		if !errors.As(err, &e) || e.Code != codes.Unavailable || attempt >= c.attempts {
			return answer, err
		}
		wait := e.RetryAfter
		if wait == 0 {
			wait = firstWait << min(attempt, 6)
		}
		if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
			return answer, err
		}
		select {
		case <-ctx.Done():
			return answer, err
		case <-time.After(wait):
		}
	}
}

// unary makes a call of one message and one answer.
func unary[Q, A any](
	ctx context.Context, c *Client, method func(context.Context, Q, ...grpc.CallOption) (A, error), request Q,
) (A, error) {
	return retried(ctx, c, func(ctx context.Context) (A, error) { return method(ctx, request) })
}

// Generate streams an answer.
func (c *Client) Generate(ctx context.Context, request *v1.GenerateRequest) (*Answer, error) {
	s, err := begin(ctx, c, c.inference.Generate, request)
	if err != nil {
		return nil, err
	}
	return &Answer{Started: s.first.GetStarted(), stream: s}, nil
}

// Score gives the likelihood of each continuation.
func (c *Client) Score(ctx context.Context, request *v1.ScoreRequest) (*v1.ScoreResponse, error) {
	return unary(ctx, c, c.inference.Score, request)
}

// Sweep asks one input under many variants; results come as they are done.
func (c *Client) Sweep(ctx context.Context, request *v1.SweepRequest) (*Sweep, error) {
	s, err := begin(ctx, c, c.inference.Sweep, request)
	if err != nil {
		return nil, err
	}
	return &Sweep{Started: s.first.GetStarted(), stream: s}, nil
}

// Capture takes activations at hook points.
func (c *Client) Capture(ctx context.Context, request *v1.CaptureRequest) (*Capture, error) {
	s, err := begin(ctx, c, c.inference.Capture, request)
	if err != nil {
		return nil, err
	}
	return &Capture{Started: s.first.GetStarted(), stream: s, dtype: request.GetDtype()}, nil
}

// Preview shows the picture as the model will see it.
func (c *Client) Preview(ctx context.Context, request *v1.PreviewRequest) (*v1.PreviewResponse, error) {
	return unary(ctx, c, c.inference.Preview, request)
}

// Verify runs a recorded answer again and says whether the bits agree.
func (c *Client) Verify(ctx context.Context, request *v1.VerifyRequest) (*v1.VerifyResponse, error) {
	return unary(ctx, c, c.inference.Verify, request)
}

// UploadImage keeps a picture on the server; what comes back stands for it in later requests.
func (c *Client) UploadImage(ctx context.Context, data []byte) (*v1.Image, error) {
	response, err := unary(ctx, c, c.inference.UploadImage, &v1.UploadImageRequest{Data: data})
	if err != nil {
		return nil, err
	}
	return &v1.Image{Source: &v1.Image_Handle{Handle: response.GetHandle()}}, nil
}

// Describe lists the rule sets that the server knows.
func (c *Client) Describe(ctx context.Context) ([]*v1.RuleInfo, error) {
	response, err := unary(ctx, c, c.benchmarks.Describe, &v1.DescribeRequest{})
	return response.GetRules(), err
}

// ListModels lists the resident models in the order of loading.
func (c *Client) ListModels(ctx context.Context) ([]*v1.ModelInfo, error) {
	response, err := unary(ctx, c, c.models.ListModels, &v1.ListModelsRequest{})
	return response.GetModels(), err
}

// GetModel describes a resident model; the first one where model is empty.
func (c *Client) GetModel(ctx context.Context, model string) (*v1.ModelInfo, error) {
	response, err := unary(ctx, c, c.models.GetModel, &v1.GetModelRequest{Model: model})
	return response.GetModel(), err
}

// ListHookPoints lists the named places in a model's forward pass, in data-path order.
func (c *Client) ListHookPoints(ctx context.Context, model string) ([]*v1.HookPoint, error) {
	response, err := unary(ctx, c, c.models.ListHookPoints, &v1.ListHookPointsRequest{Model: model})
	return response.GetHookPoints(), err
}

// LoadModel makes a model resident: progress, then the model.
func (c *Client) LoadModel(
	ctx context.Context, request *v1.LoadModelRequest,
) (iter.Seq2[*v1.LoadModelResponse, error], error) {
	s, err := begin(ctx, c, c.models.LoadModel, request)
	if err != nil {
		return nil, err
	}
	return s.all(), nil
}

// UnloadModel takes a model away, waits for the requests that run on it, and returns the bytes that became free.
func (c *Client) UnloadModel(ctx context.Context, model string) (uint64, error) {
	response, err := unary(ctx, c, c.models.UnloadModel, &v1.UnloadModelRequest{Model: model})
	return response.GetFreedBytes(), err
}

// LoadProjector makes the projector in a file of the server resident under a name.
func (c *Client) LoadProjector(ctx context.Context, model, name, file string) (*v1.ModelInfo, error) {
	request := &v1.LoadProjectorRequest{Model: model, Name: name, File: file}
	response, err := unary(ctx, c, c.models.LoadProjector, request)
	return response.GetModel(), err
}

// CheckParity runs the golden set of a model: cases as they are compared, then the report.
func (c *Client) CheckParity(ctx context.Context, model string) (iter.Seq2[*v1.CheckParityResponse, error], error) {
	s, err := begin(ctx, c, c.models.CheckParity, &v1.CheckParityRequest{Model: model})
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
