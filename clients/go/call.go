package scotoma

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	mathrand "math/rand/v2"
	"time"

	"github.com/zeebo/blake3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	v1 "github.com/scotoma/scotoma/clients/go/scotomav1"
)

const (
	firstWait   = 100 * time.Millisecond
	longestWait = 5 * time.Second
)

// A call is one logical call: the same over all of its tries.
type call struct {
	// picture is the BLAKE3 (hex) of the first picture, by which a server is chosen; empty: there is none.
	picture string
	// handles are those of uploads and of kept activations that the request names.
	handles []string
	// requestID is what the call is named, for its errors.
	requestID string
}

// newCall looks into a request, and adds to the metadata of ctx what its caller has not set.
func newCall(ctx context.Context, c *Client, request any) (context.Context, call) {
	var own call
	images := imagesOf(request)
	if len(images) > 0 {
		own.picture = digestOf(images[0])
	}
	for _, image := range images {
		if handle := image.GetHandle(); handle != "" {
			own.handles = append(own.handles, handle)
		}
	}
	own.handles = append(own.handles, keptBy(request)...)
	said, _ := metadata.FromOutgoingContext(ctx)
	said = said.Copy()
	unset := func(name string) bool { return len(said.Get(name)) == 0 }
	if unset("idempotency-key") && isUnary(request) {
		said.Set("idempotency-key", drawn())
	}
	if unset("x-request-id") {
		said.Set("x-request-id", drawn())
	}
	own.requestID = said.Get("x-request-id")[0]
	if own.picture != "" && unset("x-scotoma-picture") {
		said.Set("x-scotoma-picture", own.picture)
	}
	if c.traceparent != nil && unset("traceparent") {
		if trace := c.traceparent(ctx); trace != "" {
			said.Set("traceparent", trace)
		}
	}
	return metadata.NewOutgoingContext(ctx, said), own
}

// isUnary tells whether a request is answered by one message. Then a key is drawn for it; a stream that has one goes on for a while where
// its reader leaves.
func isUnary(request any) bool {
	switch request.(type) {
	case nil, *v1.EvaluateHeader, *v1.GenerateRequest, *v1.SweepRequest, *v1.CaptureRequest, *v1.TraceRequest, *v1.AttributeRequest,
		*v1.LoadModelRequest, *v1.CheckParityRequest:
		return false
	}
	return true
}

// drawn is a name that no other call has.
func drawn() string {
	var bytes [16]byte
	_, _ = rand.Read(bytes[:])
	return hex.EncodeToString(bytes[:])
}

// digestOf is the BLAKE3 (hex) of a picture's bytes, which is its handle, too.
func digestOf(image *v1.Image) string {
	if handle := image.GetHandle(); handle != "" {
		return handle
	}
	return hashOf(image.GetData())
}

func hashOf(data []byte) string {
	sum := blake3.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// weightOf is the rendezvous weight of a server for a picture; the greatest one has it, in every client.
func weightOf(address, picture string) string {
	return hashOf([]byte(address + " " + picture))
}

// imagesOf are the pictures of a request in their order.
func imagesOf(request any) []*v1.Image {
	switch request := request.(type) {
	case *v1.SweepRequest:
		if score := request.GetScore(); score != nil {
			return imagesOf(score)
		}
		return imagesOf(request.GetGenerate())
	case *v1.TraceRequest:
		return append(imagesOf(request.GetClean()), imagesOf(request.GetCorrupted())...)
	case *v1.AttributeRequest:
		return append(imagesOf(&v1.TraceInput{Prompt: request.GetPrompt()}), imagesOf(request.GetSource())...)
	case interface{ GetPrompt() *v1.Prompt }:
		images := append([]*v1.Image(nil), request.GetPrompt().GetImages()...)
		for _, message := range request.GetPrompt().GetMessages() {
			for _, part := range message.GetParts() {
				if image := part.GetImage(); image != nil {
					images = append(images, image)
				}
			}
		}
		return images
	case interface{ GetImages() []*v1.Image }:
		return request.GetImages()
	case interface{ GetImage() *v1.Image }:
		if image := request.GetImage(); image != nil {
			return []*v1.Image{image}
		}
	case *v1.UploadImageRequest:
		return []*v1.Image{Image(request.GetData())}
	}
	return nil
}

// keptBy are the handles of kept activations that the interventions of a request name.
func keptBy(request any) []string {
	var handles []string
	switch request := request.(type) {
	case *v1.SweepRequest:
		handles = append(keptBy(request.GetGenerate()), keptBy(request.GetScore())...)
		for _, variant := range request.GetVariants() {
			handles = append(handles, keptBy(variant)...)
		}
		return append(handles, keptBy(request.GetGrid())...)
	case *v1.TraceRequest:
		return append(keptBy(request.GetClean()), keptBy(request.GetCorrupted())...)
	case *v1.AttributeRequest:
		own := keptBy(&v1.TraceInput{Interventions: request.GetInterventions()})
		return append(own, keptBy(request.GetSource())...)
	case *v1.EvaluateHeader:
		for _, variant := range request.GetVariants() {
			handles = append(handles, keptBy(variant)...)
		}
	case interface{ GetInterventions() []*v1.Intervention }:
		for _, one := range request.GetInterventions() {
			if handle := one.GetPatch().GetHandle(); handle != "" {
				handles = append(handles, handle)
			}
		}
	}
	return handles
}

// A patience is how long what is lost is waited for, from the first loss on.
type patience struct {
	whole    time.Duration
	until    time.Time
	tries    int
	deadline time.Time
}

func newPatience(ctx context.Context, whole time.Duration) *patience {
	deadline, _ := ctx.Deadline()
	return &patience{whole: whole, deadline: deadline}
}

// renew starts anew: something has come.
func (p *patience) renew() { p.until, p.tries = time.Time{}, 0 }

// wait is the time until the next try; false where there is none.
func (p *patience) wait(e *Error) (time.Duration, bool) {
	now := time.Now()
	if p.until.IsZero() {
		p.until = now.Add(p.whole)
	}
	if !now.Before(p.until) {
		return 0, false
	}
	p.tries++
	var wait time.Duration
	if e.saysWhen {
		// A little more, so that all who were told the same do not come at once.
		wait = time.Duration(float64(e.RetryAfter) * (1 + 0.2*mathrand.Float64()))
	} else {
		grown := min(firstWait<<min(p.tries, 10), longestWait)
		wait = time.Duration(float64(grown) * (0.5 + 0.5*mathrand.Float64()))
	}
	wait = min(wait, p.until.Sub(now))
	return wait, p.deadline.IsZero() || p.deadline.Sub(now) > wait
}

// isLost tells whether a call that ended so may be sent again: the connection is gone, or the server says when.
func (e *Error) isLost() bool {
	return e.Code == codes.Unavailable && (e.saysWhen || e.Reason == "")
}

// rest waits, unless the caller has lost patience.
func rest(ctx context.Context, wait time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(wait):
		return true
	}
}
